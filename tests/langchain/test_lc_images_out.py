"""Generated images through LangChain: complete, exact and in order, in every mode."""

import asyncio
import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
from langchain_core.load import dumps, loads
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    merge_message_runs,
    message_chunk_to_message,
    messages_from_dict,
    messages_to_dict,
)
from lc_support import ADDRESS, JPEG, MORE, PNG, WEBP, Script, data_url, merged, wire_images
from support import pairwise_cases

from emby_plugins import Image
from langchain_emby import ChatEmby, block_image, image_block, images_of

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

CASES: dict[str, tuple[bytes | str, ...]] = {
    "none": (),
    "png": (PNG,),
    "jpeg": (JPEG,),
    "webp": (WEBP,),
    "address": (ADDRESS,),
    "two": (PNG, JPEG),
    "twins": (PNG, PNG),
    "five": (PNG, JPEG, WEBP, ADDRESS, MORE[0]),
}
TEXTS = {"text": "Here is your image:", "silent": ""}


def expected(pictures: tuple[bytes | str, ...]) -> list[Image]:
    """Return the images as the core's values."""
    return [Image.from_url(p) if isinstance(p, str) else Image.from_bytes(p) for p in pictures]


def by_invoke(chat: ChatEmby) -> AIMessage:
    """Call `invoke`."""
    return chat.invoke("Draw.")


def by_ainvoke(chat: ChatEmby) -> AIMessage:
    """Call `ainvoke`."""
    return asyncio.run(chat.ainvoke("Draw."))


def by_stream(chat: ChatEmby) -> AIMessage:
    """Call `stream` and merge the chunks."""
    return merged(chat.stream("Draw."))


def by_astream(chat: ChatEmby) -> AIMessage:
    """Call `astream` and merge the chunks."""

    async def collect() -> Any:
        return merged([chunk async for chunk in chat.astream("Draw.")])

    return asyncio.run(collect())


def by_batch(chat: ChatEmby) -> AIMessage:
    """Call `batch` and return the second result."""
    return chat.batch(["Draw.", "Draw."])[1]


def by_abatch(chat: ChatEmby) -> AIMessage:
    """Call `abatch` and return the second result."""
    return asyncio.run(chat.abatch(["Draw.", "Draw."]))[1]


def by_v3(chat: ChatEmby) -> AIMessage:
    """Call `stream_events` version v3 and return its output."""
    return chat.stream_events("Draw.", version="v3").output


def by_v3_async(chat: ChatEmby) -> AIMessage:
    """Call `astream_events` version v3 and return its output."""

    async def collect() -> Any:
        stream = await chat.astream_events("Draw.", version="v3")
        return await stream.output

    return asyncio.run(collect())


def by_v2(chat: ChatEmby) -> AIMessage:
    """Call `astream_events` version v2 and return the output of its last event."""

    async def collect() -> Any:
        return [event async for event in chat.astream_events("Draw.", version="v2")]

    return asyncio.run(collect())[-1]["data"]["output"]


def by_streaming(chat: ChatEmby) -> AIMessage:
    """Call `invoke` of a model with `streaming=True`."""
    return chat.model_copy(update={"streaming": True}).invoke("Draw.")


WAYS = [
    by_invoke,
    by_ainvoke,
    by_stream,
    by_astream,
    by_batch,
    by_abatch,
    by_v2,
    by_v3,
    by_v3_async,
    by_streaming,
]


ARRIVALS = pairwise_cases(way=WAYS, case=CASES, text=TEXTS, version=["v0", "v1"])


def test_every_pair_of_conditions_occurs() -> None:
    """The reduced set of cases contains every pair of values of two parameters."""
    assert len(ARRIVALS) <= 100
    for one, other in combinations(ARRIVALS[0], 2):
        values = [len({case[name] for case in ARRIVALS}) for name in (one, other)]
        assert len({(case[one], case[other]) for case in ARRIVALS}) == math.prod(values)
    assert {case["way"] for case in ARRIVALS} == {*WAYS}


@pytest.mark.parametrize(
    "given", ARRIVALS, ids=lambda given: "-".join([given["way"].__name__, *[*given.values()][1:]])
)
def test_every_image_arrives(given: dict[str, Any]) -> None:
    """Bytes, order and media types are the gateway's, in content and content blocks."""
    way, version = given["way"], given["version"]
    pictures, text = CASES[given["case"]], TEXTS[given["text"]]
    message = way(Script(text, pictures).chat(output_version=version))
    images = images_of(message)
    assert images == expected(pictures)
    assert message.text == text
    blocks = [block for block in message.content_blocks if block["type"] == "image"]
    assert [block_image(block) for block in blocks] == images
    assert [block.get("mime_type") for block in blocks] == [image.media_type for image in images]
    kinds = {block["type"] for block in message.content_blocks}
    assert kinds == ({"text"} if text else set()) | ({"image"} if pictures else set())
    assert message.response_metadata["model_provider"] == "emby"
    assert message.response_metadata["model_name"] == "qwen2.5-vision"
    assert message.usage_metadata["total_tokens"] == 49


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("reasoning", ["", "A puppy it is."], ids=["", "reasoned"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("pictures", CASES.values(), ids=CASES)
def test_streamed_equals_invoked(
    pictures: tuple[bytes | str, ...], text: str, reasoning: str, version: str
) -> None:
    """Merged chunks equal the message of `invoke` in content, blocks and metadata."""
    thinking = {"reasoning": reasoning} if reasoning else {}
    chat = Script(text, pictures, **thinking).chat(output_version=version)
    streamed, invoked = by_stream(chat), by_invoke(chat)
    assert streamed.content == invoked.content
    assert streamed.content_blocks == invoked.content_blocks
    assert streamed.additional_kwargs == invoked.additional_kwargs
    assert streamed.response_metadata == invoked.response_metadata
    assert streamed.usage_metadata == invoked.usage_metadata


def test_text_alone_is_plain() -> None:
    """A reply without images is a string, invoked and streamed."""
    chat = Script("Hello there, you.").chat()
    assert chat.invoke("Hi").content == "Hello there, you."
    assert by_stream(chat).content == "Hello there, you."


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_all_images_in_one_chunk(version: str) -> None:
    """Several images and text in one chunk, as image-only models send them, all arrive."""
    images = [{"type": "image_url", "image_url": {"url": data_url(p)}} for p in (PNG, JPEG)]
    script = Script(streamed=[{"content": "Two:", "images": images}])
    message = by_stream(script.chat(output_version=version))
    assert images_of(message) == expected((PNG, JPEG))
    assert message.text == "Two:"


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("way", [by_invoke, by_stream, by_v3])
def test_images_survive_storage(way: Callable[[ChatEmby], AIMessage], version: str) -> None:
    """Images survive pickling and LangChain's serializations."""
    pictures = CASES["five"]
    message = way(Script("Five:", pictures).chat(output_version=version))
    assert images_of(pickle.loads(pickle.dumps(message))) == expected(pictures)
    assert images_of(loads(dumps(message), allowed_objects="messages")) == expected(pictures)
    stored = messages_from_dict(messages_to_dict([message]))
    assert images_of(stored[0]) == expected(pictures)


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("way", [by_invoke, by_stream, by_v3])
def test_a_reply_can_be_sent_back(way: Callable[[ChatEmby], AIMessage], version: str) -> None:
    """An assistant's images are sent in the next user message, without its reasoning."""
    script = Script("Two:", (PNG, ADDRESS), reasoning="Let me see.")
    chat = script.chat(output_version=version)
    drawn = way(chat)
    chat.invoke([HumanMessage("Draw."), drawn, HumanMessage("Now with a hat.")])
    assistant, user = script.sent["messages"][1:]
    assert assistant == {"role": "assistant", "content": "Two:"}
    urls = [part["image_url"]["url"] for part in user["content"][:2]]
    assert urls == [data_url(PNG), ADDRESS]
    assert user["content"][2] == {"type": "text", "text": "Now with a hat."}


@pytest.mark.parametrize("way", [by_invoke, by_stream])
def test_images_through_langgraph_memory(way: Callable[[ChatEmby], AIMessage]) -> None:
    """A LangGraph conversation with a checkpointer keeps and resends the exact images."""
    graphs = pytest.importorskip("langgraph.graph")
    memory = pytest.importorskip("langgraph.checkpoint.memory")
    script = Script("Two:", (PNG, WEBP))
    chat = script.chat()

    def answer(state: dict[str, Any]) -> dict[str, Any]:
        call = chat.invoke if way is by_invoke else lambda m: merged(chat.stream(m))
        return {"messages": [call(state["messages"])]}

    graph = graphs.StateGraph(graphs.MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(graphs.START, "answer")
    app = graph.compile(checkpointer=memory.InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    app.invoke({"messages": [("user", "Draw.")]}, config)
    state = app.invoke({"messages": [("user", "Now with a hat.")]}, config)
    assert images_of(state["messages"][1]) == expected((PNG, WEBP))
    user = script.sent["messages"][-1]["content"]
    assert [part["image_url"]["url"] for part in user[:2]] == [
        data_url(PNG),
        data_url(WEBP, "image/webp"),
    ]


def test_start_events_have_no_base64() -> None:
    """In v3 events the base64 of an image is only in its last event."""
    events = list(Script("Two:", (PNG, JPEG)).chat().stream_events("Draw.", version="v3"))
    starts = [e["content"] for e in events if e["event"] == "content-block-start"]
    assert [start.get("base64") for start in starts if start["type"] == "image"] == [None, None]
    ends = [e["content"] for e in events if e["event"] == "content-block-finish"]
    found = [block_image(end) for end in ends if end["type"] == "image"]
    assert found == expected((PNG, JPEG))


_WITHOUT_BRIDGE = """
import sys
from langchain_core.language_models import _compat_bridge, chat_models
name = _compat_bridge.__name__
sys.modules[name] = None
from langchain_emby import ChatEmby, images_of
sys.modules[name] = _compat_bridge
stream = ChatEmby(base_url="mock:").stream_events("Generate an image of a fox", version="v3")
print(len(images_of(stream.output)))
"""


@pytest.mark.slow
def test_events_need_nothing_private_of_langchain() -> None:
    """A release of langchain-core without its private bridge makes the events itself."""
    command = [sys.executable, "-W", "ignore", "-c", _WITHOUT_BRIDGE]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout == "1\n"


def test_tokens_reach_callbacks() -> None:
    """A streaming callback gets each piece once, with the images in its chunks."""
    from langchain_core.callbacks import BaseCallbackHandler

    class Seen(BaseCallbackHandler):
        def __init__(self) -> None:
            self.tokens: list[str] = []
            self.chunks: list[Any] = []

        def on_llm_new_token(self, token: Any, *, chunk: Any = None, **_: Any) -> None:
            self.tokens.append(token)
            self.chunks.append(chunk.message)

    seen = Seen()
    chat = Script("Here it is", (PNG,)).chat()
    list(chat.stream("Draw.", config={"callbacks": [seen]}))
    assert "".join(token for token in seen.tokens if isinstance(token, str)) == "Here it is"
    assert images_of(merged(seen.chunks)) == expected((PNG,))


@pytest.mark.parametrize("pictures", [CASES["five"]])
def test_blocks_convert_both_ways(pictures: tuple[bytes | str, ...]) -> None:
    """An `Image` converted to a block and back is equal, and keeps its provenance."""
    for image in expected(pictures):
        assert block_image(image_block(image)) == image
    made = images_of(Script("", (PNG,)).chat().invoke("Draw."))[0]
    assert made.provenance is not None
    assert made.provenance.model == "qwen2.5-vision"
    assert made.provenance.request_id == "req-1"


def first_added_to_nothing(chat: ChatEmby) -> AIMessage:
    """Add a stream to an empty chunk."""
    return merged([AIMessageChunk(""), *chat.stream("Draw.")])


@pytest.mark.parametrize(
    "way", [by_invoke, by_stream, by_astream, by_streaming, by_v3, first_added_to_nothing]
)
def test_text_beside_images_is_a_typed_block(way: Callable[[ChatEmby], AIMessage]) -> None:
    """Text before and after an image is merged into one typed text block."""
    deltas = [{"content": "A "}, {"images": wire_images((PNG,))}, {"content": "fox"}]
    message = way(Script("A fox", (PNG,), streamed=deltas).chat())
    blocks = [{k: block[k] for k in ("type", "text") if k in block} for block in message.content]
    assert blocks == [{"type": "text", "text": "A fox"}, {"type": "image"}]


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("way", [by_invoke, by_stream, by_streaming, by_v3])
def test_images_of_merged_messages_are_exact(
    way: Callable[[ChatEmby], AIMessage], version: str
) -> None:
    """`merge_message_runs` keeps all images, since our blocks have no index to merge by."""
    drawn = [
        way(Script("Here:", pictures).chat(output_version=version))
        for pictures in ((PNG, ADDRESS), (JPEG,))
    ]
    (message,) = merge_message_runs(drawn)
    assert images_of(message) == expected((PNG, ADDRESS, JPEG))
    assert message.text.replace("\n", "") == "Here:Here:"


def test_chunks_are_stored_as_langchain_s_own() -> None:
    """Chunks are stored as LangChain's own type."""
    serde = pytest.importorskip("langgraph.checkpoint.serde.jsonplus")
    strict = serde.JsonPlusSerializer(allowed_msgpack_modules=None)
    chunks = [*Script("A fox", (PNG,)).chat().stream("Draw.")]
    for stored in (
        pickle.loads(pickle.dumps(chunks[0])),
        loads(dumps(chunks[0]), allowed_objects="messages"),
        strict.loads_typed(strict.dumps_typed(chunks[0])),
        merged(chunks),
    ):
        assert type(stored) is AIMessageChunk
    assert repr(chunks[0]).startswith("AIMessageChunk(content='A'")


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_chunks_of_a_broken_stream_become_messages(version: str) -> None:
    """Each chunk and any sum of chunks convert to a message with its images, and can be stored."""
    chunks = list(Script("Two:", (PNG, JPEG)).chat(output_version=version).stream("Draw."))
    for received in (*chunks, merged(chunks[:-1]), merged(chunks)):
        message = message_chunk_to_message(received)
        assert type(message) is AIMessage
        assert images_of(message) == images_of(received)
    assert messages_from_dict(messages_to_dict(chunks[:-1])) == chunks[:-1]
