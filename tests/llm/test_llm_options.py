"""Every option of a prompt: its place in the request, and its validation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from llm_help import LLM, MODES, Recorder
from support import Loopback, ReceivedRequest, Wire, answer, as_json, completion, photo, picture

from llm_emby._options import Options

BODY: list[tuple[str, str, dict[str, Any]]] = [
    ("temperature", "0.5", {"temperature": 0.5}),
    ("max_tokens", "99", {"max_tokens": 99}),
    ("top_p", "0.9", {"top_p": 0.9}),
    ("frequency_penalty", "-0.5", {"frequency_penalty": -0.5}),
    ("presence_penalty", "2", {"presence_penalty": 2}),
    ("stop", "END", {"stop": ["END"]}),
    ("stop", '["\\n", "END"]', {"stop": ["\n", "END"]}),
    ("reasoning_effort", "low", {"reasoning_effort": "low"}),
    ("json_object", "true", {"response_format": {"type": "json_object"}}),
    ("web_search", "true", {"web_search": True}),
    ("aspect_ratio", "16:9", {"image_config": {"aspect_ratio": "16:9"}}),
    ("image_size", "1K", {"image_config": {"image_size": "1K"}}),
    ("image_quality", "high", {"image_config": {"image_quality": "high"}}),
    ("seed", "7", {"image_config": {"seed": 7}}),
    ("extra", '{"user": "me", "top_p": 0.5}', {"user": "me", "top_p": 0.5}),
]
HEADERS: list[tuple[str, str, dict[str, str]]] = [
    ("metadata", '{"tenant_id": "acme"}', {"x-emby-tenant-id": "acme"}),
    ("source", "example.com", {"x-source": "example.com"}),
    ("header", "X-Trace: a:b", {"x-trace": "a:b"}),
    ("header", "X-One: 1\nX-Two: 2", {"x-one": "1", "x-two": "2"}),
]
# Tested by their effects: see below, and the tests of files, endpoints and errors.
OTHERS = {
    *("image_detail", "image_metadata", "timeout", "deadline", "max_retries"),
    *("output", "overwrite", "fresh", "endpoint", "mask"),
}


def test_every_option_is_tested() -> None:
    """Every option is listed in one of the tables above."""
    tested = {name for name, *_ in [*BODY, *HEADERS]} | OTHERS
    assert set(Options.model_fields) == tested


@pytest.mark.parametrize(("name", "text", "expected"), BODY)
@pytest.mark.parametrize("command", [("-m", "emby-mock"), ("emby", "image", "-m", "emby-mock")])
def test_options_of_the_body(
    run: LLM, wire: Recorder, name: str, text: str, expected: dict[str, Any], command: list[str]
) -> None:
    """Each of these options is in the body under Emby's name, and nothing else is added."""
    wire.answer = lambda _: answer(completion("{}", picture()))
    result = run(*command, "Hello", "-o", name, text)
    assert result.exit_code == 0, result.output
    (body,) = wire.requests
    assert body.keys() - {"model", "messages", "stream"} == expected.keys()
    assert {key: body[key] for key in expected} == expected


@pytest.mark.parametrize(("name", "text", "expected"), HEADERS)
def test_options_of_the_headers(
    run: LLM, wire: Recorder, name: str, text: str, expected: dict[str, str]
) -> None:
    """Each of these options is sent as a header, and not in the body."""
    result = run("-m", "emby-mock", "Hello", "-o", name, text)
    assert result.exit_code == 0, result.output
    assert expected.items() <= wire.headers[0].items()
    assert wire.requests[0].keys() == {"model", "messages", "stream"}


@pytest.mark.parametrize("mode", MODES)
def test_the_detail_of_images(run: LLM, wire: Recorder, mode: tuple[str, ...]) -> None:
    """`image_detail` is sent with each image."""
    words = ("What?", "-a", photo("rocket.jpg"), "-o", "image_detail", "low")
    result = run("-m", "emby-mock", *words, mode=mode)
    assert result.exit_code == 0, result.output
    content = wire.requests[0]["messages"][0]["content"]  # type: ignore[index]
    assert content[1]["image_url"]["detail"] == "low"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("stop", '[""]', "A stop sequence is text, and not empty"),
        ("stop", '["a", 1]', "A stop sequence is text, and not empty"),
        ("sede", "1", "Did you mean seed?"),
        ("header", "no colon", 'Expected "Name: value"'),
        ("extra", "{", "Expected a JSON object"),
        ("metadata", "x", "Expected a JSON object"),
        ("extra", '{"model": "other"}', "-o extra can't set 'model'"),
        ("max_retries", "-1", "greater than or equal to 0"),
        ("deadline", "0", "greater than 0"),
        ("image_detail", "huge", "'low', 'high' or 'auto'"),
        ("presence_penalty", "3", "less than or equal to 2"),
    ],
)
def test_an_invalid_option_is_refused(
    run: LLM, wire: Recorder, name: str, text: str, expected: str
) -> None:
    """An invalid option is refused by name before anything is sent."""
    result = run("-m", "emby-mock", "Hello", "-o", name, text)
    assert result.exit_code == 1
    assert expected in result.output
    assert name in result.output
    assert wire.requests == []


def test_a_schema_excludes_json_object(run: LLM, wire: Recorder) -> None:
    """A schema and `json_object` can't be combined."""
    result = run(
        "-m", "emby-mock", "A dog", "--schema", "name, age int", "-o", "json_object", "true"
    )
    assert result.exit_code == 1
    assert "can't be combined" in result.output
    assert wire.requests == []


def silent(received: ReceivedRequest, wire: Wire) -> None:
    """Send nothing until the test is over."""
    wire.is_over(30)


def busy(received: ReceivedRequest, wire: Wire) -> None:
    """Refuse every request temporarily."""
    wire.whole(b'{"error": {"message": "busy"}}', status="503 Service Unavailable")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [("timeout", "0.2", "0.2 seconds"), ("deadline", "0.3", "0.3 seconds")],
)
@pytest.mark.parametrize("command", [("-m",), ("emby", "image", "-m")])
def test_timeout_and_deadline(
    run: LLM,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    text: str,
    expected: str,
    command: tuple[str, ...],
) -> None:
    """A timeout error has the seconds of the option, and suggests the options to increase."""
    with Loopback(silent) as server:
        monkeypatch.setenv("EMBY_BASE_URL", server.url)
        words = ("emby/qwen2.5-vision", "Hello", "--key", "k", "-o", "max_retries", "0")
        result = run(*command, *words, "-o", name, text)
    assert result.exit_code == 1
    assert expected in result.output
    assert "Increase -o timeout or -o deadline" in result.output


@pytest.mark.parametrize("retries", [0, 1])
def test_max_retries(run: LLM, monkeypatch: pytest.MonkeyPatch, retries: int) -> None:
    """`max_retries` is the number of attempts after the first."""
    with Loopback(busy) as server:
        monkeypatch.setenv("EMBY_BASE_URL", server.url)
        words = ("-m", "emby/qwen2.5-vision", "Hello", "--key", "k")
        result = run(*words, "-o", "max_retries", retries)
    assert result.exit_code == 1
    assert len(server.requests) == retries + 1


@pytest.mark.parametrize("given", [[], ["-o", "timeout", "0.2"], ["--timeout", "0.2"]])
def test_the_timeout_of_an_image(
    run: LLM, monkeypatch: pytest.MonkeyPatch, given: list[str]
) -> None:
    """`--timeout` overrides `-o timeout`, which overrides the default option, or else 300
    seconds.
    """
    seen: list[dict[str, Any]] = []
    from llm_emby._models import AsyncEmbyModel

    client_settings = AsyncEmbyModel.client_settings

    def spy(self: AsyncEmbyModel, *arguments: Any) -> dict[str, Any]:
        seen.append(client_settings(self, *arguments))
        return seen[-1]

    monkeypatch.setattr(AsyncEmbyModel, "client_settings", spy)
    run("emby", "image", "a fox", "-m", "emby-mock", *given)
    run("models", "options", "set", "emby-mock", "timeout", "900")
    run("emby", "image", "a fox", "-m", "emby-mock", *given)
    expected = [0.2, 0.2] if given else [300, 900]
    assert [settings["timeout"] for settings in seen] == expected
    assert all(settings["deadline"] >= settings["timeout"] for settings in seen)


def test_a_slow_image_arrives(run: LLM, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A slow reply arrives with a longer timeout."""
    body = as_json(completion("", picture()))

    def slow(received: ReceivedRequest, wire: Wire) -> None:
        wire.is_over(0.6)
        wire.whole(body, "content-type: application/json")

    with Loopback(slow) as server:
        monkeypatch.setenv("EMBY_BASE_URL", server.url)
        words = ("emby", "image", "a fox", "--key", "k", "-o", "max_retries", "0")
        impatient = run(*words, "--timeout", "0.2")
        patient = run(*words, "--timeout", "20", "--out", tmp_path / "fox.png")
    assert "0.2 seconds" in impatient.stderr
    assert patient.exit_code == 0, patient.output
    assert (tmp_path / "fox.png").read_bytes() == picture()


def test_options_are_logged(run: LLM, logged: Callable[[], list[dict[str, Any]]]) -> None:
    """Options are logged as given."""
    run("-m", "emby-mock", "Hello", "-o", "stop", "END")
    assert logged()[0]["options_json"] == {"stop": ["END"]}
