"""`llm emby doctor`: its findings, advice and exit status."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from llm_help import LLM, Recorder
from recordings.recordings import STATES, recording
from support import Loopback, ReceivedRequest, Wire

from emby_plugins import BackendRequest, BackendResponse, http_library
from emby_plugins._transport import _certificates
from emby_plugins.mock import PROFILES, MockBackend, MockServer

RIGHT, WRONG = "right-secret-key", "wrong-secret-key"


@pytest.fixture(autouse=True)
def _no_certificates_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    # Cached per process.
    _certificates.cache_clear()


def check_line(output: str, name: str) -> str:
    """Return the last line about a check."""
    return [line for line in output.splitlines() if line[4:].startswith(f"{name}:")][-1]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("key", [RIGHT, WRONG, None])
def test_each_profile_distinguishes_keys(
    run: LLM, monkeypatch: pytest.MonkeyPatch, profile: str, key: str | None
) -> None:
    """Over HTTP, a right key is accepted, a wrong or missing one refused, and none is printed."""
    with MockServer(MockBackend(key=RIGHT, profile=PROFILES[profile])) as server:
        monkeypatch.setenv("EMBY_BASE_URL", server.base_url)
        result = run("emby", "doctor", *(["--key", key] if key else []))
    line = check_line(result.output, "key")
    if key == RIGHT:
        assert (line, result.exit_code) == ("ok  key: accepted", 0)
    else:
        assert line.startswith(
            "!!  key: refused (401)" if key else "!!  key: none, and the gateway"
        )
        assert result.exit_code == 1
    assert "secret" not in result.output


def recorded(state: str) -> Callable[[BackendRequest], BackendResponse]:
    """Return a gateway that answers as recorded for a right and a wrong key."""

    def answer(request: BackendRequest) -> BackendResponse:
        is_good = request.headers.get("authorization") == f"Bearer {RIGHT}"
        if request.path.endswith("/models"):
            case = "models-bad-key"
        else:
            assert json.loads(request.body)["model"].startswith("nosuchprovider/")
            case = "provider-unknown" if is_good else "two-faults-provider-key"
        found = recording(state, case)
        return BackendResponse(found.status, {}, iter([found.content]))

    return answer


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    ("key", "expected"), [(RIGHT, "ok  key: accepted"), (WRONG, "!!  key: refused (401): Unauth")]
)
def test_each_recorded_state_distinguishes_keys(
    run: LLM, wire: Recorder, monkeypatch: pytest.MonkeyPatch, state: str, key: str, expected: str
) -> None:
    """Each recorded state accepts a right key (400, unknown provider) and refuses a wrong one
    (401).
    """
    monkeypatch.setenv("EMBY_BASE_URL", "mock:")
    wire.answer = recorded(state)
    assert check_line(run("emby", "doctor", "--key", key).output, "key").startswith(expected)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"choices": [{"message": {"content": "Hi"}}]}, "gives the same answer to a wrong"),
        (400, {"error": {"message": "no"}}, "gives the same answer to a wrong key"),
        (404, "404 Not Found", "gives the same answer to a wrong key"),
        (429, {"error": {"message": "slow down"}}, "could not be verified: slow down"),
        (500, "oops", "could not be verified: "),
        (200, "<html>", "gives the same answer to a wrong key"),
    ],
)
def test_an_ambiguous_answer_does_not_verify_the_key(
    run: LLM, monkeypatch: pytest.MonkeyPatch, status: int, body: object, expected: str
) -> None:
    """If the gateway gives the same answer to any key, the key is reported as not verified."""

    def same(received: ReceivedRequest, wire: Wire) -> None:
        if received.method == "GET":
            wire.whole(b'{"data": [{"id": "m"}]}')
        else:
            content = body if isinstance(body, str) else json.dumps(body)
            wire.whole(content.encode(), status=f"{status} So")

    with Loopback(same) as server:
        monkeypatch.setenv("EMBY_BASE_URL", server.url)
        result = run("emby", "doctor", "--key", RIGHT)
    line = check_line(result.output, "key")
    assert line.startswith("??  key: could not be verified")
    assert expected in line
    assert result.exit_code == 0


def test_every_check_passes_with_the_mock(run: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the mock as gateway every check passes, with and without a key."""
    monkeypatch.setenv("EMBY_BASE_URL", "mock:")
    for words, expected in (([], "none, and"), (["--key", RIGHT], "not needed by mock:")):
        result = run("emby", "doctor", *words)
        assert result.exit_code == 0, result.output
        assert all(line.startswith("ok") for line in result.stdout.splitlines())
        assert f"ok  key: {expected}" in result.stdout


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"EMBY_BASE_URL": "http://127.0.0.1:9"}, "!!  gateway: The connection to"),
        (
            {"EMBY_BASE_URL": "http://127.0.0.1:9", "EMBY_API_KEY": "k"},
            "??  key: could not be verified because the gateway was not reached",
        ),
        ({"EMBY_BASE_URL": "https://gateway.invalid/v1"}, "!!  key: none. Run 'llm keys set emby'"),
        ({"EMBY_BASE_URL": "nonsense"}, "!!  base URL: "),
        (
            {"EMBY_BASE_URL": "http://gateway.example", "EMBY_API_KEY": "k"},
            "!!  base URL: The key is not sent",
        ),
        ({"EMBY_BASE_URL": "mock:", "EMBY_API_KEY": "two words"}, "!!  key: The API key"),
        ({"SSL_CERT_FILE": "/no/such/file"}, "!!  connection: The certificates in SSL_CERT_FILE"),
        ({"SSL_CERT_FILE": __file__}, "!!  connection: The certificates in SSL_CERT_FILE"),
        ({"SSL_CERT_DIR": "/no/such/folder"}, "!!  connection: The certificates in SSL_CERT_DIR"),
    ],
)
def test_failed_checks_are_reported(
    run: LLM, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    """A failed check is marked, has a hint, and makes the exit status 1."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = run("emby", "doctor")
    assert result.exit_code == 1
    assert expected in result.output


@pytest.mark.parametrize(
    ("stored", "variable", "words", "source"),
    [
        ({}, None, [], "none: neither llm's stored key 'emby' nor EMBY_API_KEY is set"),
        ({}, "v", [], "the environment variable EMBY_API_KEY"),
        ({"emby": "s"}, None, [], "llm's stored key 'emby' (in "),
        ({"emby": "s"}, "v", [], "EMBY_API_KEY is also set, but llm prefers its stored key"),
        ({"emby": "s"}, "v", ["--key", "given"], "--key"),
        ({"work": "s"}, None, ["--key", "work"], "--key, the name of llm's stored key 'work'"),
    ],
)
def test_the_source_of_the_key(
    run: LLM,
    user_path: Path,
    wire: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    stored: dict[str, str],
    variable: str | None,
    words: list[str],
    source: str,
) -> None:
    """The source of the key is printed before the network is used, and that key is sent."""
    (user_path / "keys.json").write_text(json.dumps(stored))
    monkeypatch.setenv("EMBY_BASE_URL", "mock:")
    if variable:
        monkeypatch.setenv("EMBY_API_KEY", variable)
    result = run("emby", "doctor", *words)
    assert f"ok  key source: {source}" in result.output or source in result.output
    assert result.output.index("key source:") < result.output.index("gateway:")
    sent = wire.headers[0].get("authorization", "Bearer ")[7:]
    expected = "given" if words[1:] == ["given"] else next(iter(stored.values()), variable or "")
    assert sent == expected


def test_a_corrupt_file_of_keys_is_reported(run: LLM, user_path: Path) -> None:
    """A corrupt keys.json is reported by path."""
    (user_path / "keys.json").write_text("{")
    result = run("emby", "doctor")
    assert "!!  key source: the file" in result.output
    assert "keys.json" in result.output
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "none"),
        ({"HTTPS_PROXY": "http://proxy:1"}, "uses the proxy http://proxy:1 (HTTPS_PROXY)"),
        ({"ALL_PROXY": "http://proxy:1"}, "uses the proxy http://proxy:1 (ALL_PROXY)"),
        ({"HTTPS_PROXY": "http://me:pass@proxy:1"}, "uses the proxy http://proxy:1 (HTTPS_PROXY)"),
        ({"HTTP_PROXY": "http://proxy:1"}, "none, because HTTP_PROXY does not apply to https://g"),
        ({"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "gateway.invalid"}, "none, because HTTPS_P"),
        (
            {"HTTPS_PROXY": "http://proxy:1", "EMBY_BASE_URL": "https://127.0.0.1:9"},
            "none, because HTTPS_PROXY does not apply to https://127.0.0.1:9",
        ),
    ],
)
def test_proxies_are_reported(
    run: LLM, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    """The proxy for the base URL is printed without its password, or why none is used."""
    monkeypatch.setenv("EMBY_BASE_URL", "https://gateway.invalid")
    monkeypatch.setenv("SSL_CERT_DIR", "/no/such/folder")  # ends before the network is used
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    output = run("emby", "doctor").output
    assert check_line(output, "proxy").startswith(f"ok  proxy: {expected}")
    assert "pass@" not in output


@pytest.mark.parametrize("variable", ["NO_COLOR", "FORCE_COLOR"])
def test_colors_follow_the_common_variables(
    run: LLM, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """`FORCE_COLOR` colors a pipe, and `NO_COLOR` overrides it."""
    monkeypatch.setenv("EMBY_BASE_URL", "mock:")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv(variable, "1")
    assert ("\x1b[32mok\x1b[" in run("emby", "doctor").output) is (variable == "FORCE_COLOR")


def test_files_are_reported(run: LLM, user_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The age and source of the model list and the number of images are printed."""
    monkeypatch.setenv("EMBY_BASE_URL", "mock:")
    run("emby", "refresh")
    (path,) = (user_path / "emby").glob("models-*.json")
    two_days_ago = time.time() - 2 * 86_400 - 60
    os.utime(path, (two_days_ago, two_days_ago))
    images = user_path / "emby" / "images"
    images.mkdir()
    for name in ("a.png", "b.jpg", ".0123.part"):
        (images / name).touch()
    output = run("emby", "doctor").output
    assert "ok  models: 8 listed by mock:, fetched 2 days ago" in output
    assert f"ok  images: 2 in {images}" in output
    assert "ok  versions: emby-plugins " in output
    assert f", {http_library()}, Python " in output
