"""The cassettes pass the guards, which detect forbidden, unused and missing ones."""

import shutil
from pathlib import Path

import pytest
from cassette_guard import LARGEST, cassettes, mismatches, oddities, secrets
from cassette_help import CASSETTES, KEY, REAL, USED, Scrubber, load
from vcr import VCR
from vcr.errors import CannotOverwriteExistingCassetteException

from emby_plugins import Emby

ONE = Path("test_replay_documented", "test_text_only.yaml")
PROMPT = "Hello! What models do you support?"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the cassettes to modify."""
    ignored = shutil.ignore_patterns(REAL)
    return Path(shutil.copytree(CASSETTES, tmp_path / "cassettes", ignore=ignored))


@pytest.fixture
def used(request: pytest.FixtureRequest) -> set[str]:
    """The cassettes in use, assuming those of modules outside of this run."""
    if any("::" in word for word in request.config.args):
        pytest.skip("Single tests were asked for: whole modules must be collected.")
    named = request.config.stash[USED]
    others = (path.relative_to(CASSETTES) for path in cassettes(CASSETTES))
    return set().union(
        *named.values(), {str(name) for name in others if name.parts[0] not in named}
    )


def replay(folder: Path, prompt: str = PROMPT, **options: object) -> str:
    """Return the text of a reply replayed from a cassette."""
    vcr = VCR(record_mode="none", **Scrubber().config)
    with (
        vcr.use_cassette(str(folder / ONE)),
        Emby(KEY, "http://127.0.0.1:9/v1", max_retries=0) as emby,
    ):
        return emby.chat(prompt, **options).text  # type: ignore[arg-type]


def test_no_secret() -> None:
    """No file has a key or a cookie, including recordings of a real gateway."""
    assert secrets(CASSETTES) == []


def test_no_forbidden_contents() -> None:
    """No cassette is large or has other headers and hosts than those allowed."""
    assert oddities(CASSETTES) == []


def test_each_cassette_is_used_and_each_test_has_its_own(used: set[str]) -> None:
    """Every cassette is used, and none is missing."""
    assert mismatches(CASSETTES, used) == []
    assert len(used) > 70


def test_each_folder_belongs_to_a_test_module() -> None:
    """Every folder has the name of a test module."""
    modules = {path.stem for path in Path(__file__).parents[1].rglob("test_*.py")}
    assert {path.parent.name for path in cassettes(CASSETTES)} <= modules


def test_the_readme_names_each_folder() -> None:
    """The README describes every folder."""
    text = (CASSETTES / "README.md").read_text("utf-8")
    assert [p.parent.name for p in cassettes(CASSETTES) if f"`{p.parent.name}/`" not in text] == []


def test_all_replies_have_the_mocks_fingerprint() -> None:
    """Every recorded chat reply has the mock's fingerprint."""
    for path in cassettes(CASSETTES):
        for exchange in load(path):
            body = exchange["response"]["body"]["string"]
            body = body if isinstance(body, str) else body.decode("utf-8", "replace")
            assert "chat.completion" not in body or '"system_fingerprint":"emby-mock"' in body, path


def test_both_ends_of_a_stream_were_recorded() -> None:
    """Both forms of `[DONE]`, with and without event and id, are recorded."""
    ends = []
    for case in ("emby-2", "2026-08-1"):
        name = f"test_replay_streams/test_an_image_only_model[{case}].yaml"
        (exchange,) = load(CASSETTES / name)
        ends.append(exchange["response"]["body"]["string"].rsplit("\n\n", 2)[-2])
    assert ends[0].startswith("event: done\ndata: [DONE]\nid: ")
    assert ends[1] == "data: [DONE]"


@pytest.mark.parametrize(
    "planted",
    [
        f"Authorization: Bearer {KEY}",
        "authorization:\n      - Bearer abcdef123456",
        "Set-Cookie: session=1",
        "sk-proj-abcdefghijklmnop",
        "llmgtwy_abcdefghijklmnop",
        "api_key: abcdef",
        KEY,
    ],
)
def test_a_planted_secret_is_found(copy: Path, planted: str) -> None:
    """A secret in any place is found."""
    with (copy / ONE).open("a") as file:
        file.write(f"# {planted}\n")
    (found,) = secrets(copy)
    assert found.startswith(str(ONE))


def test_a_secret_beside_the_cassettes_is_found(copy: Path) -> None:
    """A secret in the recordings of a real gateway is found."""
    (copy / REAL).mkdir()
    (copy / REAL / "any.yaml").write_text("x: Bearer abcdefgh\n")
    assert [found.split()[0] for found in secrets(copy)] == ["real/any.yaml"]


def test_a_large_file_is_found(copy: Path) -> None:
    """A file over 256 KB is found."""
    with (copy / ONE).open("a") as file:
        file.write("#" * LARGEST)
    (found,) = oddities(copy)
    assert found.startswith(f"{ONE} has ")


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("http://127.0.0.1/", "https://api.example.com/", "names the host api.example.com"),
        ("Content-Type:", "X-Request-Id:", "has the headers x-request-id"),
    ],
)
def test_an_odd_exchange_is_found(copy: Path, before: str, after: str, found: str) -> None:
    """A host or a header that is not allowed is found."""
    text = (copy / ONE).read_text("utf-8")
    assert before.lower() in text.lower()
    start = text.lower().index(before.lower())
    (copy / ONE).write_text(text[:start] + after + text[start + len(before) :])
    assert oddities(copy) == [f"{ONE} {found}"]
    assert oddities(copy, hosts=["api.example.com"]) == [
        line for line in [f"{ONE} {found}"] if "host" not in line
    ]


def test_an_orphan_and_a_gap_are_found(copy: Path, used: set[str]) -> None:
    """An unused and a missing cassette are found."""
    (copy / ONE).rename(copy / ONE.with_stem("test_renamed"))
    assert mismatches(copy, used) == [
        "test_replay_documented/test_renamed.yaml is used by no test",
        f"{ONE} is missing",
    ]


def test_without_its_cassette_a_replay_fails(copy: Path) -> None:
    """A replay without its cassette fails."""
    assert replay(copy)
    (copy / ONE).unlink()
    with pytest.raises(CannotOverwriteExistingCassetteException):
        replay(copy)


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.7},
        {"model": "glm-vision"},
        {"prompt": f"{PROMPT}!"},
        {"extra_body": {"seed": 1}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_request_does_not_match(change: dict[str, object]) -> None:
    """A request with another field or value does not match."""
    with pytest.raises(CannotOverwriteExistingCassetteException):
        replay(CASSETTES, **change)  # type: ignore[arg-type]


def test_a_replay_is_not_repeated() -> None:
    """Each exchange is replayed once."""
    vcr = VCR(record_mode="none", **Scrubber().config)
    with (
        vcr.use_cassette(str(CASSETTES / ONE)),
        Emby(KEY, "http://127.0.0.1:9/v1", max_retries=0) as emby,
    ):
        emby.chat(PROMPT)
        with pytest.raises(CannotOverwriteExistingCassetteException):
            emby.chat(PROMPT)


def test_a_key_in_a_body_is_scrubbed() -> None:
    """Keys and cookies in a response are removed."""
    body = {"string": b'{"error": "bad key sesame, also Bearer abcdefghijk and sk-1234567890"}'}
    headers = {"Content-Type": ["application/json"], "Set-Cookie": ["a=b"], "X-Request-Id": ["1"]}
    kept = Scrubber("sesame").response({"status": {}, "headers": headers, "body": body})
    assert kept["headers"] == {"Content-Type": ["application/json"]}
    assert kept["body"]["string"] == (b'{"error": "bad key [key], also Bearer [key] and sk-[key]"}')


def test_an_unused_exchange_fails_a_test(copy: Path, tmp_path: Path) -> None:
    """An unused exchange in a cassette is detected."""
    text = (copy / ONE).read_text("utf-8")
    head, exchange = text.split("interactions:\n")
    body, version = exchange.rsplit("version:", 1)
    (copy / ONE).write_text(f"{head}interactions:\n{body}{body}version:{version}")
    vcr = VCR(record_mode="none", **Scrubber().config)
    with (
        vcr.use_cassette(str(copy / ONE)) as cassette,
        Emby(KEY, "http://127.0.0.1:9/v1") as emby,
    ):
        emby.chat(PROMPT)
        assert not cassette.all_played
