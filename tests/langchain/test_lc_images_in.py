"""Images and files in LangChain's messages: the request for every shape and role."""

import json
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from lc_support import ADDRESS, JPEG, PDF, PNG, Script, b64, data_url

from emby_plugins import Image, InvalidImageError, RequestError
from langchain_emby import images_of

CSV = b"name,legs\ndog,4\n"


def image(url: str, detail: str | None = None) -> dict[str, Any]:
    """Return an image part of a request."""
    target = {"url": url, "detail": detail} if detail else {"url": url}
    return {"type": "image_url", "image_url": target}


def file(data: bytes, media_type: str, filename: str) -> dict[str, Any]:
    """Return a file part of a request."""
    return {"type": "file", "file": {"file_data": data_url(data, media_type), "filename": filename}}


PICTURE = image(data_url(PNG))
REMOTE = image(ADDRESS)

IMAGES: dict[str, tuple[Any, dict[str, Any]]] = {
    "image_url dict": ({"type": "image_url", "image_url": {"url": ADDRESS}}, REMOTE),
    "image_url dict, data": ({"type": "image_url", "image_url": {"url": data_url(PNG)}}, PICTURE),
    "image_url dict, detail": (
        {"type": "image_url", "image_url": {"url": ADDRESS, "detail": "low"}},
        image(ADDRESS, "low"),
    ),
    "image_url string": ({"type": "image_url", "image_url": ADDRESS}, REMOTE),
    "image_url string, data": ({"type": "image_url", "image_url": data_url(PNG)}, PICTURE),
    "responses input_image": ({"type": "input_image", "image_url": ADDRESS}, REMOTE),
    "responses input_image, detail": (
        {"type": "input_image", "image_url": ADDRESS, "detail": "low"},
        image(ADDRESS, "low"),
    ),
    "responses generated": (
        {"type": "image_generation_call", "id": "ig_1", "result": b64(PNG)},
        PICTURE,
    ),
    "gemini media": ({"type": "media", "mime_type": "image/png", "data": b64(PNG)}, PICTURE),
    "gemini media, address": (
        {"type": "media", "mime_type": "image/png", "file_uri": ADDRESS},
        REMOTE,
    ),
    "screenshot": ({"type": "computer_screenshot", "image_url": data_url(PNG)}, PICTURE),
    "gemini media, bytes": ({"type": "media", "mime_type": "image/png", "data": PNG}, PICTURE),
    "v1 url": ({"type": "image", "url": ADDRESS}, REMOTE),
    "v1 url, data": ({"type": "image", "url": data_url(PNG)}, PICTURE),
    "v1 url, detail": (
        {"type": "image", "url": ADDRESS, "extras": {"detail": "high"}},
        image(ADDRESS, "high"),
    ),
    "v1 base64": ({"type": "image", "base64": b64(PNG), "mime_type": "image/png"}, PICTURE),
    "v1 base64, detail": (
        {
            "type": "image",
            "base64": b64(PNG),
            "mime_type": "image/png",
            "extras": {"detail": "low"},
        },
        image(data_url(PNG), "low"),
    ),
    "v1 base64, no mime type": ({"type": "image", "base64": b64(PNG)}, PICTURE),
    "v1 base64, wrong mime type": (
        {"type": "image", "base64": b64(JPEG), "mime_type": "image/png"},
        image(data_url(JPEG, "image/jpeg")),
    ),
    "v1 of ours": (
        {"type": "image", "base64": b64(PNG), "index": "lc_img_0", "id": "lc_1"},
        PICTURE,
    ),
    "v0 base64": (
        {"type": "image", "source_type": "base64", "data": b64(PNG), "mime_type": "image/png"},
        PICTURE,
    ),
    "v0 url": ({"type": "image", "source_type": "url", "url": ADDRESS}, REMOTE),
    "anthropic base64": (
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": b64(PNG)},
        },
        PICTURE,
    ),
    "anthropic url": ({"type": "image", "source": {"type": "url", "url": ADDRESS}}, REMOTE),
}

FILES: dict[str, tuple[Any, dict[str, Any]]] = {
    "v1 file": (
        {"type": "file", "base64": b64(PDF), "mime_type": "application/pdf"},
        file(PDF, "application/pdf", "document.pdf"),
    ),
    "v1 file, named": (
        {
            "type": "file",
            "base64": b64(PDF),
            "mime_type": "application/pdf",
            "extras": {"filename": "menu.pdf"},
        },
        file(PDF, "application/pdf", "menu.pdf"),
    ),
    "v1 file, data url": (
        {"type": "file", "url": data_url(PDF, "application/pdf")},
        file(PDF, "application/pdf", "document.pdf"),
    ),
    "v1 file id": (
        {"type": "file", "file_id": "file-1"},
        {"type": "file", "file": {"file_id": "file-1"}},
    ),
    "v0 file": (
        {
            "type": "file",
            "source_type": "base64",
            "data": b64(PDF),
            "mime_type": "application/pdf",
        },
        file(PDF, "application/pdf", "document.pdf"),
    ),
    "openai file": (
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": data_url(PDF, "application/pdf")},
        },
        file(PDF, "application/pdf", "a.pdf"),
    ),
    "openai file, csv": (
        {"type": "file", "file": {"filename": "a.csv", "file_data": data_url(CSV, "text/csv")}},
        file(CSV, "text/csv", "a.csv"),
    ),
    "openai file id": (
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ),
    "anthropic document": (
        {
            "type": "document",
            "title": "Menu",
            "source": {"type": "base64", "media_type": "application/pdf", "data": b64(PDF)},
        },
        file(PDF, "application/pdf", "Menu"),
    ),
    "a picture as a file": (
        {"type": "file", "base64": b64(PNG), "mime_type": "application/octet-stream"},
        PICTURE,
    ),
}

TEXTS: dict[str, tuple[Any, str]] = {
    "string": ("four legs", "four legs"),
    "text": ({"type": "text", "text": "four legs"}, "four legs"),
    "text without a type": ({"text": "four legs"}, "four legs"),
    "text-plain": ({"type": "text-plain", "text": "four legs"}, "four legs"),
    "text-plain base64": ({"type": "text-plain", "base64": b64(b"four legs")}, "four legs"),
    "v0 text file": (
        {"type": "file", "source_type": "text", "url": "four legs"},
        "four legs",
    ),
    "responses input": ({"type": "input_text", "text": "four legs"}, "four legs"),
    "responses output": (
        {"type": "output_text", "text": "four legs", "annotations": []},
        "four legs",
    ),
    "refusal": ({"type": "refusal", "refusal": "four legs"}, "four legs"),
    "spoken": ({"type": "audio", "id": "audio_1", "transcript": "four legs"}, "four legs"),
    "search result": (
        {
            "type": "search_result",
            "source": "https://e.x",
            "title": "Dogs",
            "content": [{"type": "text", "text": "four legs"}],
        },
        "Dogs\nhttps://e.x\nfour legs",
    ),
    "document of blocks": (
        {
            "type": "document",
            "source": {"type": "content", "content": [{"type": "text", "text": "four legs"}]},
        },
        "four legs",
    ),
    "non-standard": (
        {"type": "non_standard", "value": {"type": "text", "text": "four legs"}},
        "four legs",
    ),
}

CALL = {"type": "tool_call", "id": "1", "name": "look", "args": {}}
ROLES = ["user", "system", "assistant", "tool"]


def conversation(role: str, content: list[Any]) -> list[BaseMessage]:
    """Return a conversation with this content in a message of this role."""
    if role == "user":
        return [HumanMessage(content)]
    if role == "system":
        return [SystemMessage(content), HumanMessage("Go on.")]
    if role == "assistant":
        return [HumanMessage("Hello"), AIMessage(content), HumanMessage("Go on.")]
    return [
        HumanMessage("Hello"),
        AIMessage("", tool_calls=[CALL]),
        ToolMessage(content, tool_call_id="1"),
        HumanMessage("Go on."),
    ]


def sent(role: str, content: list[Any]) -> list[dict[str, Any]]:
    """Return the messages of the request for this content in this role."""
    script = Script("Fine.")
    script.chat().invoke(conversation(role, content))
    return script.sent["messages"]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("block", "part"), IMAGES.values(), ids=IMAGES)
def test_every_shape_of_image_in_every_role(
    block: dict[str, Any], part: dict[str, Any], role: str
) -> None:
    """Every image is sent, and those of assistants and tools in the next user message."""
    messages = sent(role, [{"type": "text", "text": "Look:"}, block])
    text = {"type": "text", "text": "Look:"}
    if role in {"user", "system"}:
        found = next(m for m in messages if m["role"] == role)
        assert found["content"] == [text, part]
    else:
        found = next(m for m in messages if m["role"] == role and not m.get("tool_calls"))
        assert found["content"] == "Look:"
        assert messages[-1] == {
            "role": "user",
            "content": [part, {"type": "text", "text": "Go on."}],
        }


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("block", "part"), FILES.values(), ids=FILES)
def test_every_shape_of_file_in_every_role(
    block: dict[str, Any], part: dict[str, Any], role: str
) -> None:
    """A file is sent with a name and the type detected from its bytes or name."""
    messages = sent(role, [block])
    assert any(part in m["content"] for m in messages if isinstance(m["content"], list))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("block", "text"), TEXTS.values(), ids=TEXTS)
def test_every_shape_of_text_in_every_role(block: Any, text: str, role: str) -> None:
    """Text in every form of content is sent as text."""
    assert any(m["content"] == text and m["role"] == role for m in sent(role, [block]))


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "v1 image id": ({"type": "image", "file_id": "file-1"}, RequestError, "file_id"),
    "v0 image id": (
        {"type": "image", "source_type": "id", "id": "file-1"},
        RequestError,
        "file_id",
    ),
    "anthropic image id": (
        {"type": "image", "source": {"type": "file", "file_id": "file-1"}},
        RequestError,
        "file_id",
    ),
    "empty image": ({"type": "image"}, RequestError, "neither base64 nor url"),
    "input_image id": (
        {"type": "input_image", "file_id": "file-1", "image_url": None},
        RequestError,
        "file_id",
    ),
    "gemini image": (
        {"type": "media", "mime_type": "image/png", "file_uri": "gs://a"},
        RequestError,
        "Google's storage",
    ),
    "input_file url": ({"type": "input_file", "file_url": ADDRESS}, RequestError, "by URL"),
    "gemini file": (
        {"type": "media", "mime_type": "application/pdf", "file_uri": "gs://a"},
        RequestError,
        "by URL",
    ),
    "empty image_url": ({"type": "image_url"}, RequestError, "URL of an image"),
    "broken base64": ({"type": "image", "base64": "a*b"}, InvalidImageError, "base64"),
    "no image": ({"type": "image", "base64": b64(b"hello")}, InvalidImageError, "can't be opened"),
    "ftp": ({"type": "image", "url": "ftp://example.com/a.png"}, InvalidImageError, "image URL"),
    "file url": ({"type": "file", "url": "https://example.com/a.pdf"}, RequestError, "by URL"),
    "empty file": ({"type": "file"}, RequestError, "no file"),
    "text-plain url": ({"type": "text-plain", "url": ADDRESS}, RequestError, "text"),
    "video": ({"type": "video", "url": ADDRESS}, RequestError, "'video'"),
    "audio": ({"type": "audio", "base64": b64(b"RIFF")}, RequestError, "'audio'"),
    "unheard of": ({"type": "smell", "smell": "roses"}, RequestError, "'smell'"),
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("block", "error", "says"), REFUSED.values(), ids=REFUSED)
def test_unsupported_content_raises(
    block: dict[str, Any],
    error: type[Exception],
    says: str,
    role: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Unsupported content raises, but is dropped and logged in an assistant's message."""
    script = Script("Fine.")
    content = [{"type": "text", "text": "Well."}, block]
    if role == "assistant" and error is RequestError:
        script.chat().invoke(conversation(role, content))
        assert script.sent["messages"][1] == {"role": "assistant", "content": "Well."}
        assert says in caplog.text
    else:
        with pytest.raises(error, match=says):
            script.chat().invoke(conversation(role, content))
        assert script.requests == []


@pytest.mark.parametrize(
    "block",
    [
        {"type": "reasoning", "reasoning": "Hmm."},
        {"type": "thinking", "thinking": "Hmm.", "signature": "x"},
        {"type": "tool_use", "id": "1", "name": "look", "input": {}},
        {"type": "tool_call", "id": "1", "name": "look", "args": {}},
    ],
)
def test_reasoning_and_tool_blocks_are_not_sent_as_content(block: dict[str, Any]) -> None:
    """Reasoning and blocks of tool calls are not sent back as content."""
    messages = sent("assistant", [block, {"type": "text", "text": "Well."}])
    assert messages[1]["content"] == "Well."


PROVIDER_ONLY = [
    {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    {"type": "file_search_call", "id": "fs_1", "queries": [], "results": None},
    {"type": "code_interpreter_call", "id": "ci_1", "code": "1", "outputs": []},
    {"type": "computer_call", "id": "cu_1", "call_id": "c", "action": {}},
    {"type": "image_generation_call", "id": "ig_1", "status": "failed", "result": None},
    {"type": "mcp_call", "id": "mcp_1", "name": "look", "arguments": "{}"},
    {"type": "mcp_list_tools", "id": "mcpl_1", "tools": []},
    {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}},
    {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []},
    {"type": "code_execution_tool_result", "tool_use_id": "srv_1", "content": {}},
    {"type": "executable_code", "executable_code": "1", "language": "python"},
    {"type": "code_execution_result", "code_execution_result": "1", "outcome": 1},
    {"type": "compaction", "content": "..."},
]


@pytest.mark.parametrize("wrapped", [False, True], ids=["raw", "non-standard"])
@pytest.mark.parametrize("block", PROVIDER_ONLY, ids=lambda block: block["type"])
def test_items_of_other_providers_tools_are_left_out(block: dict[str, Any], wrapped: bool) -> None:
    """Items of other providers' server tools are left out, and the text is sent."""
    item = {"type": "non_standard", "value": block} if wrapped else block
    messages = sent("assistant", [item, {"type": "text", "text": "Well."}])
    assert messages[1] == {"role": "assistant", "content": "Well."}


def test_a_conversation_of_the_responses_api_is_converted() -> None:
    """A conversation of OpenAI's Responses API is converted, with calls, results and images."""
    began = AIMessage(
        [
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "image_generation_call", "id": "ig_1", "result": b64(PNG)},
            {"type": "output_text", "text": "Here.", "annotations": []},
            {
                "type": "function_call",
                "id": "fc_1",
                "call_id": "call_1",
                "name": "look",
                "arguments": '{"at": "dog"}',
            },
        ],
        tool_calls=[{**CALL, "id": "call_1", "args": {"at": "dog"}}],
    )
    assert images_of(began) == [Image.from_bytes(PNG)]
    for message in (began, began.model_copy(update={"tool_calls": []})):
        script = Script("Fine.")
        result = ToolMessage("A dog.", tool_call_id="call_1")
        script.chat().invoke([HumanMessage("Hi"), message, result, HumanMessage("And?")])
        assistant, answer, user = script.sent["messages"][1:]
        assert assistant["content"] == "Here."
        (call,) = assistant["tool_calls"]
        assert (call["id"], call["function"]["name"]) == ("call_1", "look")
        assert json.loads(call["function"]["arguments"]) == {"at": "dog"}
        assert answer["tool_call_id"] == "call_1"
        assert user["content"][0]["image_url"]["url"] == data_url(PNG)


def test_tool_calls_are_sent_back_with_their_results() -> None:
    """Tool calls, invalid ones too, are sent back with their results."""
    broken = {"type": "invalid_tool_call", "id": "2", "name": "look", "args": "{", "error": "?"}
    script = Script("Fine.")
    script.chat().invoke(
        [
            HumanMessage("Look at 'café'."),
            AIMessage(
                "", tool_calls=[{**CALL, "args": {"at": "café"}}], invalid_tool_calls=[broken]
            ),
            ToolMessage("Coffee.", tool_call_id="1", name="look"),
            ToolMessage("That was no JSON.", tool_call_id="2", status="error"),
        ]
    )
    assistant, first, second = script.sent["messages"][1:]
    assert [c["function"]["arguments"] for c in assistant["tool_calls"]] == ['{"at": "café"}', "{"]
    assert (first["tool_call_id"], first["content"]) == ("1", "Coffee.")
    assert (second["tool_call_id"], second["content"]) == ("2", "That was no JSON.")


@pytest.mark.parametrize("content", ["", [], [{"type": "text", "text": ""}]])
def test_an_empty_system_prompt_is_left_out(content: Any) -> None:
    """An empty system prompt, as sent by agents without one, is left out."""
    script = Script("Fine.")
    script.chat().invoke([SystemMessage(content), HumanMessage("Hi")])
    assert script.sent["messages"] == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("blocks", "sent"),
    [
        (["Here is", {"type": "text", "text": " a dog."}], "Here is a dog."),
        ([{"type": "text", "text": t} for t in ("A dog", " barks", ".")], "A dog barks."),
        (["I look.", {"type": "server_tool_use"}, "A dog."], "I look.\nA dog."),
    ],
)
def test_neighboring_texts_of_a_reply_are_one(blocks: list[Any], sent: str) -> None:
    """Neighboring texts of a reply, as from Anthropic and Gemini, are joined to one."""
    script = Script("Fine.")
    script.chat().invoke(["Hi", AIMessage(blocks), "And?"])
    assert script.sent["messages"][1]["content"] == sent


def test_anthropic_tool_results_become_tool_messages() -> None:
    """Calls and results in Anthropic's content blocks are sent as messages."""
    script = Script("Fine.")
    use = {"type": "tool_use", "id": "1", "name": "look", "input": {"at": "dog"}}
    result = {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "A"}]}
    script.chat().invoke([HumanMessage("Hi"), AIMessage([use]), HumanMessage([result, "And?"])])
    assistant, tool, user = script.sent["messages"][1:]
    assert assistant["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"at": "dog"}'}
    assert (tool["role"], tool["tool_call_id"], tool["content"]) == ("tool", "1", "A")
    assert user == {"role": "user", "content": "And?"}


@pytest.mark.parametrize(
    ("role", "becomes"),
    [("user", "user"), ("developer", "system"), ("assistant", "assistant"), ("System", "system")],
)
def test_chat_messages_are_sent_in_their_role(role: str, becomes: str) -> None:
    """A `ChatMessage` is sent in its role, and an unknown role is an error."""
    script = Script("Fine.")
    script.chat().invoke([ChatMessage("Hello", role=role), HumanMessage("Hi", name="ann")])
    assert script.sent["messages"][0] == {"role": becomes, "content": "Hello"}
    assert script.sent["messages"][1]["name"] == "ann"
    with pytest.raises(RequestError, match="'wizard'"):
        script.chat().invoke([ChatMessage("Hello", role="wizard")])
