"""The `openai` SDK against the mock: supported features, and those that need extra fields."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import openai
import PIL.Image
import pydantic
import pytest
from foreign_help import KEY, PUPPY, WEATHER, opened, user

from emby_plugins import Emby, Image
from emby_plugins.mock import PROFILES, Fault, MockBackend, MockServer

MODEL = "qwen2.5-vision"


class Dog(pydantic.BaseModel):
    """A response model."""

    name: str
    legs: int


@pytest.fixture
def client(server: MockServer) -> Iterator[openai.OpenAI]:
    """The SDK's client, without retries."""
    with openai.OpenAI(api_key=KEY, base_url=server.base_url, max_retries=0) as made:
        yield made


def ours(server: MockServer, prompt: str, **options: Any) -> Any:
    """Return our client's reply."""
    with Emby(KEY, server.base_url) as emby:
        return emby.chat(prompt, **options)


def test_chat(client: openai.OpenAI, server: MockServer) -> None:
    """Text and usage are the same as ours."""
    reply = client.chat.completions.create(model=MODEL, messages=user("Hello"))
    expected = ours(server, "Hello")
    assert reply.choices[0].message.content == expected.text
    assert reply.usage
    assert reply.usage.total_tokens == expected.usage.total_tokens
    assert (reply.object, reply.choices[0].finish_reason) == ("chat.completion", "stop")
    assert reply.system_fingerprint == "emby-mock"


async def test_chat_async(server: MockServer) -> None:
    """The async client gets text."""
    async with openai.AsyncOpenAI(api_key=KEY, base_url=server.base_url) as client:
        reply = await client.chat.completions.create(model=MODEL, messages=user("Hello"))
    assert reply.choices[0].message.content


@pytest.mark.parametrize("profile", PROFILES)
def test_stream(profile: str) -> None:
    """Text is streamed in order, with usage, in each profile."""
    backend = MockBackend(profile=PROFILES[profile])
    with (
        MockServer(backend) as server,
        openai.OpenAI(api_key=KEY, base_url=server.base_url) as client,
        client.chat.completions.create(
            model=MODEL, messages=user("Hello"), stream=True, stream_options={"include_usage": True}
        ) as stream,
    ):
        chunks = list(stream)
        expected = ours(server, "Hello")
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == expected.text
    totals = {chunk.usage.total_tokens for chunk in chunks if chunk.usage}
    assert totals == {expected.usage.total_tokens}


def test_a_generated_image_is_an_extra_field(client: openai.OpenAI, server: MockServer) -> None:
    """A generated image is in the extra field `images`, with the same bytes as ours."""
    message = client.chat.completions.create(model=MODEL, messages=user(PUPPY)).choices[0].message
    assert "images" not in type(message).model_fields
    assert opened((message.model_extra or {})["images"]) == list(ours(server, PUPPY).images)


def test_a_streamed_image_is_an_extra_field(client: openai.OpenAI, server: MockServer) -> None:
    """A streamed image is in the extra field `images` of a delta."""
    found: list[Image] = []
    with client.chat.completions.create(model=MODEL, messages=user(PUPPY), stream=True) as stream:
        for chunk in stream:
            for choice in chunk.choices:
                assert "images" not in type(choice.delta).model_fields
                found += opened((choice.delta.model_extra or {}).get("images", []))
    assert found == list(ours(server, PUPPY).images)


def test_the_stream_helper_fails_on_two_images(client: openai.OpenAI) -> None:
    """Known defect: `chat.completions.stream()` requires an index in lists, which images lack."""
    prompt = "Generate two images of a puppy"
    with (
        pytest.raises(RuntimeError, match="index"),
        client.chat.completions.stream(model=MODEL, messages=user(prompt)) as stream,
    ):
        stream.until_done()


def test_an_image_is_sent(client: openai.OpenAI, backend: MockBackend) -> None:
    """A generated image can be sent back in the SDK's form and is described."""
    message = client.chat.completions.create(model=MODEL, messages=user(PUPPY)).choices[0].message
    (item,) = (message.model_extra or {})["images"]
    shown = user("What is shown here?", item["image_url"]["url"])
    reply = client.chat.completions.create(model=MODEL, messages=shown)
    assert "256x256" in (reply.choices[0].message.content or "")
    assert list(backend.requests[-1].images) == opened([item])


def test_a_round_with_a_tool(client: openai.OpenAI) -> None:
    """A tool call and its result work if the SDK's message gets a text."""
    history = user("What is the weather in Paris?")
    options: Any = {"model": MODEL, "tools": [WEATHER]}
    message = client.chat.completions.create(messages=history, **options).choices[0].message
    (call,) = message.tool_calls or []
    assert json.loads(call.function.arguments).keys() == {"city"}
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "Sunny."}
    # Known defect: the SDK's message has null content, which the older states refuse.
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(messages=[*history, message, result], **options)
    history += [message.model_copy(update={"content": ""}), result]
    answer = client.chat.completions.create(messages=history, **options).choices[0].message
    assert "Sunny." in (answer.content or "")


def test_a_streamed_tool_call(client: openai.OpenAI) -> None:
    """The SDK's accumulator joins the fragments of a tool call."""
    options: Any = {"model": MODEL, "tools": [WEATHER]}
    with client.chat.completions.stream(
        messages=user("What is the weather in Paris?"), **options
    ) as stream:
        stream.until_done()
        choice = stream.get_final_completion().choices[0]
    (call,) = choice.message.tool_calls or []
    assert (call.function.name, choice.finish_reason) == ("get_weather", "tool_calls")
    assert json.loads(call.function.arguments).keys() == {"city"}


def test_a_schema(client: openai.OpenAI) -> None:
    """`response_format` with a schema gives JSON that matches it."""
    form: Any = {
        "type": "json_schema",
        "json_schema": {"name": "dog", "schema": Dog.model_json_schema(), "strict": True},
    }
    reply = client.chat.completions.create(
        model=MODEL, messages=user("Describe a dog"), response_format=form
    )
    Dog.model_validate_json(reply.choices[0].message.content or "")


def test_parse(client: openai.OpenAI) -> None:
    """`.parse` generates the schema and returns an instance."""
    reply = client.chat.completions.parse(
        model=MODEL, messages=user("Describe a dog"), response_format=Dog
    )
    assert isinstance(reply.choices[0].message.parsed, Dog)


def test_reasoning_is_an_extra_field(client: openai.OpenAI) -> None:
    """Reasoning is an extra field, and its tokens are in the SDK's own field."""
    reply = client.chat.completions.create(
        model=MODEL, messages=user("Why?"), reasoning_effort="low"
    )
    assert (reply.choices[0].message.model_extra or {})["reasoning"]
    assert reply.usage
    assert reply.usage.completion_tokens_details
    assert (reply.usage.completion_tokens_details.reasoning_tokens or 0) > 0


@pytest.mark.parametrize("profile", PROFILES)
def test_models(profile: str) -> None:
    """The list of models is read, and `vision` is an extra field."""
    with (
        MockServer(MockBackend(profile=PROFILES[profile])) as server,
        openai.OpenAI(api_key=KEY, base_url=server.base_url) as client,
    ):
        listed = {model.id: model for model in client.models.list()}
    assert "qwen2.5-vl" in listed
    assert listed["emby-mock"].created == 1730000000
    assert ("vision" in (listed["emby-mock"].model_extra or {})) == (profile == "emby")


def test_retrieving_one_model_is_not_in_the_contract(client: openai.OpenAI) -> None:
    """`models.retrieve` fails, since the gateway has no such route."""
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("emby-mock")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (529, openai.InternalServerError),
    ],
)
def test_errors_by_status(
    client: openai.OpenAI, backend: MockBackend, status: int, kind: type[openai.APIStatusError]
) -> None:
    """Each status raises the SDK's own error with its request id."""
    backend.reply(fault=Fault(status=status, message="As told"))
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model=MODEL, messages=user("Hello"))
    assert caught.value.status_code == status
    assert (caught.value.request_id or "").startswith("mock-")


def test_a_wrong_key() -> None:
    """A wrong key raises AuthenticationError with the code of the newest state."""
    with (
        MockServer(MockBackend(KEY, profile=PROFILES["2026-08"])) as server,
        openai.OpenAI(api_key="another", base_url=server.base_url) as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.chat.completions.create(model=MODEL, messages=user("Hello"))
    assert caught.value.code == "invalid_api_key"


def test_a_bad_image(client: openai.OpenAI) -> None:
    """The documented error type for a bad image is in the SDK's error."""
    broken = user("What?", "data:image/png;base64,QUJD")
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=broken)
    assert caught.value.type == "invalid_image_input"


def test_flat_errors_lose_all_but_the_status() -> None:
    """Known defect: the SDK reads neither type, code nor message of `{"error": true}`."""
    with (
        MockServer(MockBackend(KEY, profile=PROFILES["2025-12"])) as server,
        openai.OpenAI(api_key="another", base_url=server.base_url) as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.chat.completions.create(model=MODEL, messages=user("Hello"))
    assert (caught.value.type, caught.value.code) == (None, None)
    assert str(caught.value) == "Error code: 401"


def test_a_rate_limit_is_waited_for(server: MockServer, backend: MockBackend) -> None:
    """The SDK follows `Retry-After` and retries."""
    backend.reply(fault=Fault(status=429, retry_after=0))
    with openai.OpenAI(api_key=KEY, base_url=server.base_url, max_retries=1) as client:
        client.chat.completions.create(model=MODEL, messages=user("Hello"))
    assert len(backend.requests) == 2


def test_an_error_in_mid_stream(client: openai.OpenAI, backend: MockBackend) -> None:
    """An error event is raised after the text before it."""
    backend.reply(fault=Fault(error=True))
    stream = client.chat.completions.create(model=MODEL, messages=user("Hello"), stream=True)
    assert [next(stream).choices[0].delta.content for _ in range(2)] == ["", "This "]
    with pytest.raises(openai.APIError, match="Error from provider"):
        list(stream)


def test_a_truncated_stream_raises_nothing(client: openai.OpenAI, backend: MockBackend) -> None:
    """Known defect: a stream without finish reason and `[DONE]` raises no error."""
    backend.reply(fault=Fault(no_finish=True, no_done=True))
    chunks = list(client.chat.completions.create(model=MODEL, messages=user("Hello"), stream=True))
    assert not [c for chunk in chunks for c in chunk.choices if c.finish_reason]


@pytest.mark.parametrize("profile", ["emby", "2026-08"])
def test_the_images_endpoint(profile: str) -> None:
    """`images.generate` and `images.edit` return images, with files and a mask."""
    red = Image.from_pil(PIL.Image.new("RGB", (40, 30), "#ff0000"))
    backend = MockBackend(KEY, profile=PROFILES[profile])
    with (
        MockServer(backend) as server,
        openai.OpenAI(api_key=KEY, base_url=server.base_url, max_retries=0) as client,
    ):
        made = client.images.generate(model="emby-mock-image", prompt="a boat", size="1024x1024")
        file = ("red.png", red.data, "image/png")
        edited = client.images.edit(
            model="emby-mock-image", image=[file], mask=file, prompt="make it grayscale", n=1
        )
    assert Image.from_bytes(base64.b64decode(made.data[0].b64_json)).size == (1024, 1024)
    assert Image.from_bytes(base64.b64decode(edited.data[0].b64_json)).size == (40, 30)
    assert backend.requests[-1].images == (red, red)


@pytest.mark.parametrize("profile", ["2025-11", "2025-12"])
def test_no_images_endpoint(profile: str) -> None:
    """The older states have no images endpoint."""
    with (
        MockServer(MockBackend(profile=PROFILES[profile])) as server,
        openai.OpenAI(api_key=KEY, base_url=server.base_url, max_retries=0) as client,
        pytest.raises(openai.NotFoundError),
    ):
        client.images.generate(model="emby-mock-image", prompt="a boat")
