"""`ImagesOutputParser`: chains that return images."""

from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableGenerator
from lc_support import ADDRESS, JPEG, PNG, Script

from emby_plugins import Image, InvalidImageError
from langchain_emby import ImagesOutputParser, image_block

BOTH = [Image.from_bytes(PNG), Image.from_url(ADDRESS)]


@pytest.mark.parametrize("version", ["v0", "v1"])
async def test_a_chain_yields_images(version: str) -> None:
    """A chain returns all images of the answer, invoked, awaited, batched and streamed."""
    chat = Script("Two:", (PNG, ADDRESS)).chat(output_version=version)
    chain = ChatPromptTemplate.from_messages([("user", "{x}")]) | chat | ImagesOutputParser()
    assert chain.invoke({"x": "Draw."}) == BOTH
    assert await chain.ainvoke({"x": "Draw."}) == BOTH
    assert chain.batch([{"x": "Draw."}]) == [BOTH]
    assert list(chain.stream({"x": "Draw."})) == [[image] for image in BOTH]
    assert [item async for item in chain.astream({"x": "Draw."})] == [[i] for i in BOTH]
    assert chain.invoke({"x": "Draw."})[0].provenance.model == "qwen2.5-vision"


async def test_images_arrive_before_the_stream_ends() -> None:
    """The first image is available before the rest of the reply has arrived."""
    seen = []

    def note(chunks: Any) -> Any:
        for chunk in chunks:
            seen.append(chunk)
            yield chunk

    chain = Script("Two:", (PNG, ADDRESS)).chat() | RunnableGenerator(note) | ImagesOutputParser()
    stream = chain.stream("Draw.")
    assert next(stream) == BOTH[:1]
    so_far = len(seen)
    assert list(stream) == [BOTH[1:]]
    assert len(seen) > so_far


def test_text_without_images() -> None:
    """Text without images gives an empty list, and nothing in a stream."""
    chain = Script("No.").chat() | ImagesOutputParser()
    assert chain.invoke("Draw.") == []
    assert list(chain.stream("Draw.")) == []
    assert ImagesOutputParser().parse("No.") == []
    assert ImagesOutputParser().invoke("No.") == []


def test_messages_of_every_kind() -> None:
    """Images of other models', users' and tool messages are returned too."""
    parser, image = ImagesOutputParser(), Image.from_bytes(JPEG)
    blocks = ["Here:", image_block(image)]
    tool = ToolMessage("one image", tool_call_id="1", artifact=[image])
    for message in (AIMessage(blocks), HumanMessage(blocks), tool):
        assert parser.invoke(message) == [image]
    other = GenericFakeChatModel(messages=iter([AIMessage(blocks)]))
    assert (other | parser).invoke("Draw.") == [image]


def test_a_broken_image_raises() -> None:
    """An image that can't be decoded raises."""
    broken = AIMessage([{"type": "image", "base64": "?", "mime_type": "image/png"}])
    with pytest.raises(InvalidImageError):
        ImagesOutputParser().invoke(broken)


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
def test_the_parser_can_be_dumped_and_described() -> None:
    """A chain with the parser can be serialized, and its output schema generated."""
    kept = dumps(ImagesOutputParser())
    again = loads(kept, allowed_objects=[ImagesOutputParser], valid_namespaces=["langchain_emby"])
    assert again == ImagesOutputParser()
    chain = Script().chat() | ImagesOutputParser()
    assert chain.get_output_jsonschema()["type"] == "array"
