"""The JSON of a request: Vision Support page, and CONTRACT.md, section 3."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from support import data_url, photo, picture

from emby_plugins import (
    ConfigurationError,
    FilePart,
    Image,
    ImagePart,
    InvalidImageError,
    JSONSchema,
    Limits,
    Message,
    RequestError,
    TextPart,
    Tool,
    ToolCall,
)
from emby_plugins._chat import ChatRequest
from emby_plugins._prompts import chat_request
from emby_plugins._protocol.request import chat_body, request_headers

RED, BLUE = Image(picture("red")), Image(picture("blue"))
CALL = ToolCall("t1", "camera", '{"zoom": 2}')


def body(
    prompt: Any, *images: Image, limits: Limits | None = None, stream: bool = False, **options: Any
) -> dict[str, Any]:
    """Return the JSON of a request."""
    request = chat_request(prompt, model="m", images=images, options=options, stream=stream)  # type: ignore[arg-type]
    sent: dict[str, Any] = json.loads(chat_body(request, limits or Limits()))
    return sent


def content(prompt: Any, *images: Image, **options: Any) -> Any:
    """Return the content of the last message sent."""
    return body(prompt, *images, **options)["messages"][-1]["content"]


def shown(image: Image) -> dict[str, Any]:
    """Return the block of a PNG image."""
    return {"type": "image_url", "image_url": {"url": data_url(image.data)}}


def text(words: str) -> dict[str, Any]:
    """Return the block of a text."""
    return {"type": "text", "text": words}


# ---- content


def test_text_alone_is_a_plain_string() -> None:
    """Without an image, content is a string, and the body has no other fields."""
    assert body("Hi") == {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    assert content(Message.user("a", "b")) == "a\nb"


def test_content_is_an_array_as_soon_as_there_is_an_image() -> None:
    """With images, content is an array of the text and then the images (Vision Support, "Mixed
    Input").
    """
    assert content("Compare.", RED, BLUE) == [text("Compare."), shown(RED), shown(BLUE)]


def test_the_order_of_text_and_images_is_kept() -> None:
    """The order of text and images within a message is kept."""
    assert content(Message.user("This", RED, "or this?", BLUE)) == [
        text("This"),
        shown(RED),
        text("or this?"),
        shown(BLUE),
    ]


def test_every_source_of_an_image_sends_the_same_bytes(tmp_path: Path) -> None:
    """Images from a path, bytes, Pillow or a data URL are sent as data URLs, and a URL as a URL."""
    (tmp_path / "a.png").write_bytes(RED.data)
    for image in (
        Image.from_path(tmp_path / "a.png"),
        Image.from_bytes(RED.data),
        Image.from_data_url(data_url(RED.data)),
    ):
        assert content("?", image)[1] == shown(RED)
    made = Image.from_pil(PIL.Image.new("RGB", (1, 1)))
    assert content("?", made)[1] == shown(made)
    url = "https://example.com/a%20b.png?x=1#y"
    assert content("?", Image.from_url(url))[1]["image_url"] == {"url": url}


@pytest.mark.parametrize("name", ["rocket.jpg", "chelsea.png", "no_time_for_that_tiny.gif"])
def test_a_real_photograph_is_sent_to_the_byte(name: str) -> None:
    """A photograph is sent as its exact bytes with its media type."""
    path = photo(name)
    kind = {"jpg": "image/jpeg", "png": "image/png", "gif": "image/gif"}[name[-3:]]
    sent = content("?", Image.from_path(path))[1]["image_url"]["url"]
    assert sent == data_url(path.read_bytes(), kind)


def test_webp_is_sent_as_webp() -> None:
    """A WebP is sent as a WebP."""
    webp = picture(format="WEBP")
    assert content("?", Image(webp))[1]["image_url"]["url"] == data_url(webp, "image/webp")


@pytest.mark.parametrize("detail", ["low", "high", "auto"])
def test_detail_is_sent_when_given(detail: Any) -> None:
    """`detail` is sent only if given."""
    block = content(Message.user(ImagePart(RED, detail)))[0]
    assert block["image_url"] == {"url": data_url(RED.data), "detail": detail}
    assert "detail" not in content(Message.user(RED))[0]["image_url"]


def test_a_pdf_is_sent_as_a_file() -> None:
    """A PDF is sent as a `file` part (Image Generation page, `type: "file"`)."""
    part = FilePart.from_bytes(b"%PDF-1.7", filename="a.pdf")
    assert content(Message.user("Read", part))[1] == {
        "type": "file",
        "file": {"filename": "a.pdf", "file_data": data_url(b"%PDF-1.7", "application/pdf")},
    }


def test_a_file_by_its_id() -> None:
    """A file uploaded elsewhere is sent by its id."""
    sent = content(Message.user(FilePart(file_id="f-1")))
    assert sent == [{"type": "file", "file": {"file_id": "f-1"}}]


def test_a_file_of_nothing_is_refused() -> None:
    """A file part with neither data nor id is refused."""
    with pytest.raises(RequestError, match="neither data nor a file_id"):
        body(Message.user(FilePart(filename="a.pdf")))


def test_an_image_in_a_file_part_is_sent_as_an_image() -> None:
    """An image in a file part is sent as `image_url`, since not every gateway accepts `file`."""
    part = FilePart("notes.txt", "text/plain", RED.data)
    assert content(Message.user(part)) == [shown(RED)]


def test_a_file_part_reads_a_file(tmp_path: Path) -> None:
    """`FilePart.from_path` gets name and type from the path, and raises RequestError on failure."""
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    part = FilePart.from_path(tmp_path / "a.pdf")
    assert part == FilePart("a.pdf", "application/pdf", b"%PDF")
    assert "PDF'" not in repr(part)
    for missing in (tmp_path / "b.pdf", "a\0b", tmp_path):
        with pytest.raises(RequestError, match=r"can't be read: .+\. Check the path\."):
            FilePart.from_path(missing)


# ---- unsupported images


def encoded(format: str) -> bytes:  # noqa: A002
    """Return an image that Pillow encodes in this format."""
    out = BytesIO()
    PIL.Image.new("RGB", (9, 9), "red").save(out, format)
    return out.getvalue()


OTHERS = {
    "image/bmp": encoded("BMP"),
    "image/tiff": encoded("TIFF"),
    "image/heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "image/avif": encoded("AVIF"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_formats_are_refused_with_a_hint(kind: str) -> None:
    """An unsupported format is refused with its name, the accepted ones and a way to convert it."""
    image = Image.from_bytes(OTHERS[kind])
    with pytest.raises(InvalidImageError) as caught:
        body("?", image)
    assert kind in caught.value.message
    assert "JPEG, PNG, WebP and GIF" in caught.value.hint
    assert "from_pil" in caught.value.hint


def test_a_multipage_photograph_in_tiff_is_refused() -> None:
    """A real TIFF file is refused before sending."""
    with pytest.raises(InvalidImageError, match="image/tiff"):
        body("?", Image.from_path(photo("multipage.tif")))


def test_an_image_over_the_limit_is_refused() -> None:
    """An image over `request_image` is refused with the limit, and one at the limit is sent."""
    size = len(RED.data)
    body("?", RED, limits=Limits(request_image=size))
    with pytest.raises(InvalidImageError, match=f"over the limit of {size - 1:,} bytes") as caught:
        body("?", RED, limits=Limits(request_image=size - 1))
    assert "Limits(request_image=" in caught.value.hint
    with pytest.raises(InvalidImageError):
        body(Message.user(FilePart(data=RED.data)), limits=Limits(request_image=size - 1))


# ---- a history


def roles(*messages: Message) -> list[tuple[str, Any]]:
    """Return role and content of every message sent."""
    return [(m["role"], m["content"]) for m in body(messages)["messages"]]


def test_an_assistants_image_is_moved_to_the_next_user_message() -> None:
    """An assistant's image is moved to the start of the next user message, as editing requires."""
    assert roles(
        Message.user("Paint."), Message.assistant("Here:", RED), Message.user("Make it blue.")
    ) == [
        ("user", "Paint."),
        ("assistant", "Here:"),
        ("user", [shown(RED), text("Make it blue.")]),
    ]


def test_an_image_shown_again_is_not_sent_twice() -> None:
    """An assistant's image that the user shows again is sent once."""
    sent = roles(Message.assistant(RED, BLUE), Message.user("Use this:", Image(RED.data)))
    assert sent == [("assistant", ""), ("user", [shown(BLUE), text("Use this:"), shown(RED)])]


def test_images_of_tools_are_sent_after_the_tool_messages() -> None:
    """Images of tool messages are sent in a user message after the last of these messages."""
    second = ToolCall("t2", "camera")
    sent = roles(
        Message.user("Look."),
        Message.assistant(tool_calls=[CALL, second]),
        Message.tool("one", RED, tool_call_id="t1"),
        Message.tool(BLUE, tool_call_id="t2"),
        Message.assistant("I see."),
    )
    assert [role for role, _ in sent] == ["user", "assistant", "tool", "tool", "user", "assistant"]
    assert [content for _, content in sent[2:5]] == ["one", "", [shown(RED), shown(BLUE)]]


def test_images_at_the_end_are_sent_in_an_added_message() -> None:
    """Images of tools at the end of a history are sent in an added user message."""
    sent = roles(Message.assistant(tool_calls=[CALL]), Message.tool("ok", RED, tool_call_id="t1"))
    assert sent[1:] == [("tool", "ok"), ("user", [shown(RED)])]


def test_images_are_moved_past_a_system_message() -> None:
    """Images are moved past a system message to the next user message."""
    sent = roles(Message.assistant(RED), Message.system("Be brief."), Message.user("Now?"))
    assert sent[1:] == [("system", "Be brief."), ("user", [shown(RED), text("Now?")])]


def test_two_assistant_messages_keep_their_images_apart() -> None:
    """Images of two assistant messages in a row are sent in separate user messages."""
    sent = roles(Message.assistant("a", RED), Message.assistant("b", BLUE), Message.user("c"))
    assert [role for role, _ in sent] == ["assistant", "user", "assistant", "user"]
    assert sent[1][1] == [shown(RED)]
    assert sent[3][1] == [shown(BLUE), text("c")]


def test_a_moved_image_keeps_its_detail() -> None:
    """A moved image keeps its `detail`."""
    sent = roles(Message("assistant", (ImagePart(RED, "low"),)), Message.user("?"))
    assert sent[1][1][0]["image_url"]["detail"] == "low"


def test_tool_calls_and_their_answers() -> None:
    """Tool calls, their results by id, and names are sent.

    The content beside the calls is `""`: 2025-11 and 2025-12 refuse null and absent content
    (tool-round-content-null, tool-round-content-absent), and every state accepts `""`.
    """
    sent = body(
        [
            Message.assistant(tool_calls=[CALL]),
            Message.tool("5", tool_call_id="t1", name="camera"),
            Message("user", (TextPart("ok"),), name="ann"),
        ]
    )["messages"]
    function = {"name": "camera", "arguments": '{"zoom": 2}'}
    assert sent == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "t1", "type": "function", "function": function}],
        },
        {"role": "tool", "content": "5", "name": "camera", "tool_call_id": "t1"},
        {"role": "user", "content": "ok", "name": "ann"},
    ]


def test_images_join_the_last_user_message() -> None:
    """`images` are appended to the last user message."""
    sent = body([Message.user("a", RED), Message.user("b", RED)], BLUE)["messages"]
    assert sent[0]["content"] == [text("a"), shown(RED)]
    assert sent[1]["content"] == [text("b"), shown(RED), shown(BLUE)]


def test_images_after_an_assistant_are_refused() -> None:
    """`images` after an assistant's message are refused with a hint."""
    with pytest.raises(RequestError, match=r"'assistant'\. Put the images into a Message\.user"):
        body([Message.assistant("a")], RED)


@pytest.mark.parametrize("prompt", [[], 5, [{"role": "user"}], [Message.user("a"), None]])
def test_an_invalid_conversation_is_refused(prompt: Any) -> None:
    """An empty history or an item that is not a message is refused with an example."""
    with pytest.raises(RequestError, match=r"Message\.user"):
        body(prompt)


@pytest.mark.parametrize("part", [None, 5, b"bytes", {"type": "text"}])
def test_an_invalid_part_is_refused(part: Any) -> None:
    """A part of an unsupported type is refused."""
    with pytest.raises(RequestError, match="can't be part of a message"):
        Message.user(part)


# ---- options


def test_plain_options_are_sent_under_their_own_names() -> None:
    """Plain options are sent under their own names, falsy ones too, but not None."""
    options = {
        "temperature": 0,
        "max_tokens": 5,
        "top_p": 0.5,
        "frequency_penalty": 0.0,
        "presence_penalty": 1,
        "reasoning_effort": "minimal",
        "image_config": {"aspect_ratio": "16:9", "image_size": "2K"},
    }
    sent = body("Hi", **options)
    assert {name: sent[name] for name in options} == options
    assert body("Hi", **dict.fromkeys([*options, "tools", "tool_choice", "extra_body"])) == body(
        "Hi"
    )


def test_stream_is_sent_only_for_a_stream() -> None:
    """`stream` is sent only for a stream."""
    assert body("Hi", stream=True)["stream"] is True
    assert "stream" not in body("Hi")


def test_tools_are_sent_in_openais_form() -> None:
    """Tools are sent in OpenAI's form, with an empty schema by default and `strict` only if
    given.
    """
    schema = {"type": "object", "properties": {"zoom": {"type": "integer"}}}
    full = Tool("camera", "Takes a picture.", schema, strict=True)
    assert body("?", tools=[full, Tool("now")])["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "camera",
                "description": "Takes a picture.",
                "parameters": schema,
                "strict": True,
            },
        },
        {
            "type": "function",
            "function": {"name": "now", "parameters": {"type": "object", "properties": {}}},
        },
    ]
    assert "tools" not in body("?", tools=[])


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_tool_choice_keywords(choice: str) -> None:
    """The tool choices of the contract are sent unchanged."""
    assert body("?", tool_choice=choice)["tool_choice"] == choice


def test_tool_choice_by_name() -> None:
    """Any other tool choice is sent as the name of a tool."""
    named = {"type": "function", "function": {"name": "camera"}}
    assert body("?", tool_choice="camera")["tool_choice"] == named


def test_response_format() -> None:
    """A response format is sent as a keyword, or as a schema with its optional fields."""
    schema = {"type": "object"}
    full = JSONSchema(schema, "dog", "A dog.", strict=False)
    assert body("?", response_format="json_object")["response_format"] == {"type": "json_object"}
    assert body("?", response_format=full)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "dog", "schema": schema, "description": "A dog.", "strict": False},
    }
    assert body("?", response_format=JSONSchema(schema))["response_format"]["json_schema"] == {
        "name": "reply",
        "schema": schema,
    }


def test_extra_body_is_merged_last() -> None:
    """`extra_body` is merged last and may override other fields."""
    sent = body("Hi", temperature=1, extra_body={"seed": 2**70, "temperature": 0.5})
    assert (sent["seed"], sent["temperature"], sent["model"]) == (2**70, 0.5, "m")


def looping() -> dict[str, Any]:
    """Return a dict that contains itself."""
    loop: dict[str, Any] = {}
    loop["again"] = loop
    return loop


@pytest.mark.parametrize("extra", [{"a": object()}, {"a": b"\xff", 5j: 1}, looping()])
def test_values_that_are_not_json_are_refused(extra: Any) -> None:
    """Values that are not JSON raise RequestError."""
    with pytest.raises(RequestError, match="can't be written as JSON"):
        body("Hi", extra_body=extra)


def test_a_lone_surrogate_is_refused() -> None:
    """A lone surrogate is refused, and any other text is sent unchanged."""
    with pytest.raises(RequestError, match="can't be written as JSON"):
        body("\ud800")
    assert content('"\\\u2028🐶\0') == '"\\\u2028🐶\0'


def test_the_prompt_is_the_text_of_the_last_user_message() -> None:
    """`ChatRequest.prompt` is the text of the last user message."""
    history = (Message.user("a"), Message.assistant("b"), Message.user("c", RED, "d"))
    assert ChatRequest("m", history).prompt == "c\nd"
    assert ChatRequest("m", (Message.system("s"),)).prompt == ""


# ---- headers


def test_metadata_and_source_become_headers() -> None:
    """`metadata` and `source` are sent as headers (Metadata and Source Attribution pages)."""
    assert request_headers({"tenant_id": "acme", "run-2": "x y"}, "example.com") == {
        "x-emby-tenant-id": "acme",
        "x-emby-run-2": "x y",
        "x-source": "example.com",
    }
    assert request_headers({}, None) == {}
    assert request_headers({"n": 5, "empty": "", "wide": " x "}, " example.com ") == {  # type: ignore[dict-item]
        "x-emby-n": "5",
        "x-emby-empty": "",
        "x-emby-wide": "x",
        "x-source": "example.com",
    }


BAD_VALUES = ["a\r\nX-Evil: 1", "a\n", "\ra", "a\0b", "é", "\u2028", "a\tb", "\x7f"]


@pytest.mark.parametrize("value", BAD_VALUES)
def test_no_value_can_inject_a_header(value: str) -> None:
    """Header values with control characters or non-ASCII characters are refused."""
    with pytest.raises(ConfigurationError, match="can't be sent as a header"):
        request_headers({"tenant": value}, None)
    with pytest.raises(ConfigurationError, match="can't be sent as a header"):
        request_headers({}, value)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "-a", "a-", "ä", "a\n", "__"])
def test_no_name_can_inject_a_header(name: str) -> None:
    """Metadata names may contain letters, digits and inner hyphens or underscores only."""
    with pytest.raises(ConfigurationError, match="can't be sent as a header"):
        request_headers({name: "x"}, None)


@pytest.mark.parametrize("source", ["", " "])
def test_an_empty_source_is_refused(source: str) -> None:
    """An empty `source` is refused."""
    with pytest.raises(ConfigurationError, match="domain of your app"):
        request_headers({}, source)
