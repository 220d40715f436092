"""How replies end in LangChain: finish reasons, notices and images that the gateway drops."""

import logging
from collections.abc import Callable

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from lc_support import PNG, Script, Turns, calling
from test_lc_images_out import WAYS, by_invoke, by_stream, by_v3

from emby_plugins import Image
from langchain_emby import ChatEmby, EmbyImageTool, images_of

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

USAGE = {"prompt_tokens": 9, "completion_tokens": 1290, "total_tokens": 1299}
DROPPED = [{"content": "Here is your image:"}]


def dropping() -> Script:
    """Return a gateway that drops images from streams, as the state 2025-11 does with large
    ones.
    """
    return Script("Here is your image:", (PNG,), streamed=DROPPED, usage=USAGE)


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("finish", ["content_filter", "length", "error", "stop"])
@pytest.mark.parametrize("way", [by_invoke, by_stream, by_v3])
def test_the_end_of_a_reply_is_in_its_metadata(
    way: Callable[[ChatEmby], AIMessage], finish: str, version: str
) -> None:
    """The metadata has the finish reason, and a notice unless normal, in every mode."""
    known = way(Script("Par", finish=finish).chat(output_version=version)).response_metadata
    assert known["finish_reason"] == finish
    assert (finish in known.get("notice", "")) is (finish != "stop")


@pytest.mark.parametrize("way", [by_invoke, by_stream, by_v3])
def test_an_empty_reply_has_a_notice(way: Callable[[ChatEmby], AIMessage]) -> None:
    """An empty reply has a notice in its metadata."""
    assert "empty" in way(Script("").chat()).response_metadata["notice"]


@pytest.mark.parametrize("finish", ["length", "stop"])
def test_a_stop_sequence_that_was_not_found_changes_nothing(finish: str) -> None:
    """A stop sequence that was not found does not change the finish reason."""
    chat = Script("One. Two.", finish=finish).chat(stop=["Three"])
    for message in (by_invoke(chat), by_stream(chat), by_v3(chat)):
        assert message.text == "One. Two."
        assert message.response_metadata["finish_reason"] == finish
        assert ("notice" in message.response_metadata) is (finish == "length")


def test_text_that_a_stop_sequence_cut_has_no_notice() -> None:
    """Text cut at a stop sequence has the finish reason `stop` and no notice."""
    chat = Script("One. Two.", finish="length").chat(stop=["Two"])
    for message in (by_invoke(chat), by_stream(chat)):
        assert message.text == "One. "
        assert message.response_metadata["finish_reason"] == "stop"
        assert "notice" not in message.response_metadata


@pytest.mark.parametrize("way", [by_stream, by_v3])
def test_a_dropped_image_is_reported_and_the_text_is_kept(
    way: Callable[[ChatEmby], AIMessage], caplog: pytest.LogCaptureFixture
) -> None:
    """A dropped image is logged, with a notice on the billed tokens, and the text is kept."""
    with caplog.at_level(logging.WARNING, "emby_plugins"):
        message = way(dropping().chat())
    assert message.text == "Here is your image:"
    notice = message.response_metadata["notice"]
    assert "1,271 output tokens" in notice
    assert "without streaming" in notice
    assert caplog.messages == [notice]


@pytest.mark.parametrize("way", WAYS)
def test_no_way_streams_with_streaming_disabled(way: Callable[[ChatEmby], AIMessage]) -> None:
    """With `disable_streaming=True` no method streams, so that images are not dropped."""
    script = dropping()
    message = way(script.chat(disable_streaming=True))
    assert [image.data for image in images_of(message)] == [PNG]
    assert "notice" not in message.response_metadata
    assert not script.sent.get("stream")


def test_counted_image_tokens_are_in_the_usage() -> None:
    """Image tokens counted by the gateway are in the usage metadata."""
    usage = {**USAGE, "completion_tokens_details": {"image_tokens": 1120}}
    message = Script("Here:", (PNG,), usage=usage).chat().invoke("Draw.")
    assert message.usage_metadata is not None
    assert message.usage_metadata["output_token_details"] == {"image": 1120}


@pytest.mark.parametrize("mode", ["messages", "values"])
def test_the_image_tool_of_a_streamed_agent_does_not_stream(mode: str) -> None:
    """In an agent that is streamed, the image tool sends requests without streaming."""
    painter = dropping()
    brain = Turns(lambda _: calling("generate_image", prompt="a fox"), lambda _: Script("Done."))
    tool = EmbyImageTool(base_url="script:", plugins=[painter])
    agent = create_agent(brain.chat(), tools=[tool])
    for _ in agent.stream({"messages": [HumanMessage("Draw a fox.")]}, stream_mode=mode):
        pass
    assert not painter.sent.get("stream")
    assert brain.bodies[0].get("stream", False) is (mode == "messages")
    shown = brain.bodies[1]["messages"]
    assert Image.from_bytes(PNG).data_url in str(shown)


def test_the_image_tool_does_not_stream_with_a_streaming_model() -> None:
    """The image tool does not stream, even with a given `ChatEmby` that does."""
    painter = dropping()
    tool = EmbyImageTool(chat=painter.chat(streaming=True))
    call = {"type": "tool_call", "id": "1", "name": tool.name, "args": {"prompt": "a fox"}}
    assert [image.data for image in images_of(tool.invoke(call))] == [PNG]


def test_an_abnormal_end_is_in_the_tool_result() -> None:
    """The tool's result has an image with an abnormal end and a notice on it."""
    tool = EmbyImageTool(chat=Script("Here:", (PNG,), finish="content_filter").chat())
    call = {"type": "tool_call", "id": "1", "name": tool.name, "args": {"prompt": "a fox"}}
    message = tool.invoke(call)
    assert [image.data for image in images_of(message)] == [PNG]
    assert "A content filter ended the reply" in message.content[0]["text"]
