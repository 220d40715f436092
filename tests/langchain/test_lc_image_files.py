"""Photos of every kind in messages and tool results are converted for sending."""

from typing import Any

import pytest
from image_files import FILES, SIZE, assert_sent, assert_upright, heic
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from lc_support import Script, b64

from emby_plugins import Image, InvalidImageError

SENT = [
    (heic(6), "image/jpeg"),
    (FILES["avif-6"].make(), "image/jpeg"),
    (FILES["tiff-cmyk"].make(), "image/png"),
    (FILES["jpeg-6"].make(), ""),
]


def history(place: str, data: bytes) -> list[BaseMessage]:
    """Return a conversation with the image in a user message or in a tool's result."""
    block: dict[str, Any] = {"type": "image", "base64": b64(data), "mime_type": "image/heic"}
    if place == "user":
        return [HumanMessage(["What?", block])]
    call = {"name": "camera", "args": {}, "id": "1", "type": "tool_call"}
    answer = ToolMessage([block], tool_call_id="1")
    return [HumanMessage("Look."), AIMessage("", tool_calls=[call]), answer]


@pytest.mark.parametrize("place", ["user", "tool"])
@pytest.mark.parametrize(("data", "kind"), SENT, ids=["heic", "avif", "cmyk", "jpeg"])
def test_images_are_sent_in_a_type_that_emby_accepts(place: str, data: bytes, kind: str) -> None:
    """Images are sent upright, converted if needed and otherwise unchanged."""
    script = Script("Fine.")
    script.chat().invoke(history(place, data))
    contents = [m["content"] for m in script.sent["messages"] if isinstance(m["content"], list)]
    (url,) = [b["image_url"]["url"] for c in contents for b in c if "image_url" in b]
    image = Image.from_data_url(url)
    assert image.size == SIZE
    assert_upright(image.to_pil())
    assert image.media_type == kind if kind else image.data == data


@pytest.mark.parametrize("place", ["user", "tool"])
def test_every_file_of_the_table_is_sent_correctly(place: str) -> None:
    """All files of the table can be sent at once, in a message or a tool's result."""
    made = {name: file.make() for name, file in FILES.items()}
    messages = history(place, b"")
    blocks = [{"type": "image", "base64": b64(d), "mime_type": "image/png"} for d in made.values()]
    messages[-1].content = [{"type": "text", "text": "What?"}, *blocks]
    script = Script("Fine.")
    script.chat().invoke(messages)
    contents = [m["content"] for m in script.sent["messages"] if isinstance(m["content"], list)]
    urls = [b["image_url"]["url"] for content in contents for b in content if "image_url" in b]
    for file, url in zip(FILES.values(), urls, strict=True):
        assert_sent(file, made[file.name], Image.from_data_url(url).data)


@pytest.mark.parametrize(("setting", "has_place"), [("keep", True), ("remove", False)])
def test_the_metadata_of_photos_is_a_setting(setting: str, has_place: bool) -> None:
    """`image_metadata` keeps or removes the location of a photo."""
    for data in (heic(), FILES["jpeg-6"].make()):
        script = Script("Fine.")
        script.chat(image_metadata=setting).invoke(history("user", data))
        (url,) = [b["image_url"]["url"] for b in script.sent["messages"][0]["content"][1:]]
        exif = Image.from_data_url(url).to_pil().getexif()
        assert bool(exif.get_ifd(0x8825)) == has_place


def test_a_truncated_photo_is_refused() -> None:
    """A truncated photo that needs conversion raises, and nothing is sent."""
    script = Script("Fine.")
    with pytest.raises(InvalidImageError, match=r"can't be opened|is damaged"):
        script.chat().invoke(history("user", heic()[:300]))
    assert script.requests == []
