"""`llm emby image --endpoint` and `--mask`: the requests that are sent."""

from pathlib import Path

import PIL.Image
import pytest
from llm_help import LLM, paths
from support import photo

from emby_plugins import BackendRequest, BackendResponse, Image
from emby_plugins.mock import PROFILES, MockBackend

CHAT, GENERATE, EDIT = "/chat/completions", "/images/generations", "/images/edits"


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of all requests to a mock with both endpoints."""
    return watch(monkeypatch, MockBackend(profile=PROFILES["2026-08"]))


def watch(monkeypatch: pytest.MonkeyPatch, backend: MockBackend) -> list[str]:
    """Record the paths of all requests to a backend."""
    seen: list[str] = []

    def answered(request: BackendRequest) -> BackendResponse:
        seen.append(request.path)
        return backend(request)

    monkeypatch.setattr("emby_plugins.mock.MockBackend", lambda: answered)
    return seen


@pytest.mark.parametrize(
    ("words", "used"),
    [
        (("-m", "emby-mock"), CHAT),
        (("-m", "emby-mock-image"), GENERATE),
        (("-m", "emby-mock-image", "--endpoint", "chat"), CHAT),
        (("-m", "emby-mock-image", "-o", "seed", "3"), CHAT),
        (("-m", "emby-mock-image", "--endpoint", "images"), GENERATE),
        (("-m", "emby-mock-image", "-n", "2"), GENERATE),
        (("-m", "emby-mock-image", "-a", photo("rocket.jpg")), EDIT),
    ],
)
def test_the_endpoint(run: LLM, routes: list[str], words: tuple[object, ...], used: str) -> None:
    """`auto` uses the images endpoint for models with image output only, and a file is saved."""
    result = run("emby", "image", "a fox", *words)
    assert result.exit_code == 0, result.output
    assert {*routes} == {used}
    assert Image.from_path(paths(result.stdout)[0]).media_type == "image/png"


def test_both_commands_log_alike(run: LLM, routes: list[str], tmp_path: Path) -> None:
    """A plain prompt uses the images endpoint too, and its image is logged."""
    out = tmp_path / "fox.png"
    assert run("a fox", "-m", "emby-mock-image", "-o", "output", out).exit_code == 0
    assert routes == [GENERATE]
    assert out.is_file()
    assert run("logs", "-n", "1", "--json").output.count(str(out)) >= 1


def test_a_mask_is_sent(run: LLM, routes: list[str], tmp_path: Path) -> None:
    """`--mask` sends the image and its mask to /images/edits."""
    mask = tmp_path / "mask.png"
    PIL.Image.new("RGBA", (640, 427)).save(mask)
    words = ("-m", "emby-mock-image", "-a", photo("rocket.jpg"), "--mask", mask)
    result = run("emby", "image", "add a moon", *words)
    assert result.exit_code == 0, result.output
    assert routes == [EDIT]


def test_a_gateway_without_the_endpoint(run: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a gateway without the endpoint `auto` uses a chat, and `images` is an error."""
    seen = watch(monkeypatch, MockBackend(profile=PROFILES["2025-11"]))
    assert run("emby", "image", "a fox", "-m", "emby-mock-image").exit_code == 0
    assert seen == [GENERATE, CHAT]
    result = run("emby", "image", "a fox", "-m", "emby-mock-image", "--endpoint", "images")
    assert result.exit_code == 1
    assert "no images endpoint" in result.output
    assert seen[2:] == [GENERATE]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--endpoint", "images", "-o", "temperature", "1"),
            "The images endpoint does not take 'temperature'.",
        ),
        (("--endpoint", "chat", "--mask", photo("moon.png")), "A mask needs the images endpoint."),
        (("--mask", photo("moon.png")), "A mask needs exactly one image"),
        (("--mask", "nosuch.png"), "does not exist"),
    ],
)
def test_mistakes_send_no_request(
    run: LLM, routes: list[str], words: tuple[object, ...], message: str
) -> None:
    """Invalid combinations cause a one-sentence error and no request."""
    result = run("emby", "image", "a fox", "-m", "emby-mock-image", *words)
    assert result.exit_code != 0
    assert message in result.output
    assert routes == []
