"""Re-recording from the mock or another gateway, with a report on the differences."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cassette_compare import differences, order, report
from cassette_guard import cassettes, secrets
from cassette_help import CASSETTES, FOLDER, REAL, Recording, load

from emby_plugins.mock import PROFILES, MockBackend, MockServer

COMMAND = Path(__file__).with_name("record_cassettes.py")
SECRET = "sk-of-somebody-who-pays"


def compared(test: str, other: str = "2025-12") -> list[str]:
    """Return the differences between a test's recordings in the profile `emby` and in another."""
    pair = (CASSETTES / f"{test}[{profile}].yaml" for profile in ("emby", other))
    return differences(*map(load, pair))


def record(folder: Path, tests: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command for some tests."""
    return subprocess.run(
        [sys.executable, str(COMMAND), "-k", tests],
        env={**os.environ, FOLDER: str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_new_recordings_have_the_same_form(tmp_path: Path) -> None:
    """A new recording of the mock has the same form as the committed one."""
    ran = record(tmp_path, "test_replay_models or test_two_images or test_text or bad_image")
    assert ran.returncode == 0, ran.stdout
    recorded = [path.relative_to(tmp_path) for path in cassettes(tmp_path)]
    assert len(recorded) == 12
    for name in recorded:
        assert differences(load(CASSETTES / name), load(tmp_path / name)) == [], name
        pair = [(root / name).read_text("utf-8") for root in (CASSETTES, tmp_path)]
        # Another Pillow may compress images differently, but all other bytes are the same.
        assert pair[0] == pair[1] or "base64," in pair[0], name


@pytest.mark.slow
def test_another_gateway_is_recorded_apart_and_compared(tmp_path: Path) -> None:
    """Another gateway, played by the mock in another profile, is recorded separately and
    compared.
    """
    backend = MockBackend(SECRET, profile=PROFILES["2026-08"])
    with MockServer(backend) as server:
        ran = record(
            tmp_path,
            "wrong_key or test_models or test_text_only or too_many",
            EMBY_BASE_URL=server.base_url,
            EMBY_API_KEY=SECRET,
        )
    output = ran.stdout
    assert ran.returncode == 0, output
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.yaml")}
    # Only tests that need neither profiles nor faults.
    assert names == {
        "test_replay_documented/test_models.yaml",
        "test_replay_documented/test_text_only.yaml",
        "test_replay_errors/test_a_wrong_key[emby].yaml",
        "test_replay_models/test_models[emby].yaml",
        "test_replay_models/test_models_async.yaml",
    }
    assert SECRET not in output + "".join(path.read_text() for path in tmp_path.rglob("*.yaml"))
    assert secrets(tmp_path, SECRET) == []
    assert "error: bool from the mock, object from the other" in output
    assert "data[].vision: only the mock has it (bool)" in output
    assert "usage.cost: only the other has it (number)" in output


def test_half_a_gateway_is_refused(tmp_path: Path) -> None:
    """An address without a key, or a key without an address, is refused."""
    with pytest.raises(ValueError, match="both EMBY_BASE_URL and EMBY_API_KEY"):
        Recording.of({"EMBY_API_KEY": SECRET})


def test_a_gateways_recordings_have_a_separate_folder() -> None:
    """Recordings of a gateway have a separate folder that git ignores."""
    recording = Recording.of({"EMBY_BASE_URL": "https://api.emby.dev/v1", "EMBY_API_KEY": SECRET})
    assert recording.folder == CASSETTES / REAL
    assert SECRET not in repr(recording)
    assert f"/{REAL}/" in (CASSETTES / ".gitignore").read_text().splitlines()


def test_errors_are_compared() -> None:
    """Differences in the JSON of errors are reported."""
    assert compared("test_replay_errors/test_a_wrong_key", "2026-08") == [
        "error: bool from the mock, object from the other",
        "error.code: only the other has it (string)",
        "error.message: only the other has it (string)",
        "error.param: only the other has it (null)",
        "error.type: only the other has it (string)",
        "message: only the mock has it (string)",
        "status: only the mock has it (number)",
    ]


def test_statuses_are_compared() -> None:
    """Differences in the status are reported."""
    found = compared("test_replay_errors/test_a_bad_image")
    assert found[0] == "status: 400 from the mock, 500 from the other"


def test_content_types_are_compared() -> None:
    """Differences in the content type are reported instead of the body's."""
    pair = ("test_an_unknown_route", "test_an_unknown_model")
    mock, other = (load(CASSETTES / f"test_replay_errors/{name}[emby].yaml") for name in pair)
    assert differences(mock, other) == [
        "status: 404 from the mock, 400 from the other",
        "content type: text/plain from the mock, application/json from the other",
    ]


def test_streams_are_compared() -> None:
    """Differences in the order of a stream's contents are reported."""
    name = "test_replay_streams/test_an_image_only_model[{}].yaml"
    found = differences(*(load(CASSETTES / name.format(case)) for case in ("emby-2", "2026-08-1")))
    assert found[-1].startswith("stream: content > an image > ")
    assert found[-1].endswith("2 images in one chunk > finish with usage > [DONE] from the other")


def test_the_order_of_images() -> None:
    """Two images in one chunk are distinguished from one per chunk."""
    name = "test_replay_streams/test_an_image_only_model[{}].yaml"
    orders = []
    for case in ("2026-08-1", "2025-12-2"):
        (exchange,) = load(CASSETTES / name.format(case))
        orders.append(order(exchange["response"]["body"]["string"]))
    assert "2 images in one chunk" in orders[0]
    assert "an image" in orders[1]


def test_lists_of_models_are_compared() -> None:
    """Differences in fields at any depth are reported."""
    found = compared("test_replay_models/test_models", "2026-08")
    assert "data[].vision: only the mock has it (bool)" in found
    assert "data[].providers[].externalId: only the other has it (string)" in found


def test_exchanges_are_counted() -> None:
    """A different number of exchanges is reported first."""
    one = load(CASSETTES / "test_replay_errors" / "test_a_wrong_key[emby].yaml")
    assert differences(one, one * 2) == ["1 exchanges with the mock, 2 with the other"]


def test_the_same_does_not_differ() -> None:
    """A cassette does not differ from itself."""
    output = report(CASSETTES, CASSETTES)
    assert ", 0 differ; 0 cassettes have no counterpart." in output
