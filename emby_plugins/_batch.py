"""One request of many, and its result as a record that fits on a line of JSON.

`llm emby map` and the example for Ray Data use the same call and keep the same records. Where a
record is kept, and how many requests run at a time, is theirs.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

from emby_plugins._chat import DEFAULT_MODEL, ChatReply
from emby_plugins._errors import APIError, EmbyError
from emby_plugins._images import Image
from emby_plugins._messages import Detail, ImagePart, Message

if TYPE_CHECKING:
    from emby_plugins._client import AsyncEmby


class BatchRecord(TypedDict):
    """The result of one item. `json.dumps` accepts it unchanged.

    `key` identifies the request and `task` what it has in common with the others of a batch.
    `images` are the files of the generated images, or their URLs. `usage` is that of `Usage` and
    `cost` is in US dollars; both are None if the gateway does not report them. `notice` describes
    how the reply ended, if not normally. `error` is None, or has the `type`, `message` and `status`
    of the error; `text` and `images` are then what was received before it.
    """

    input: str
    text: str
    images: list[str]
    error: dict[str, Any] | None
    cost: float | None
    usage: dict[str, Any] | None
    finish_reason: str | None
    notice: str
    request_id: str | None
    model: str
    prompt: str
    key: str
    task: str


@dataclass(frozen=True, slots=True)
class BatchItem:
    """A prompt about one image, or without an image.

    `input` is a path or an https URL, or empty. `options` are arguments of `chat` for the request,
    such as `temperature`; those of the call, such as `timeout`, are the client's.
    """

    prompt: str
    input: str = ""
    model: str = DEFAULT_MODEL
    detail: Detail | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """A digest of the prompt, the model and the options: equal for all items of a batch."""
        asked = (self.prompt, self.model, self.detail, sorted(self.options.items()))
        return _digest(json.dumps(asked, default=repr))

    def image(self) -> Image | None:
        """Read the image. Raises `InvalidImageError`."""
        if self.input.startswith(("https://", "http://")):
            return Image.from_url(self.input)
        return Image.from_path(self.input) if self.input else None

    def key(self, image: Image | None) -> str:
        """A digest of the whole request, by the bytes of its image and not by its name."""
        shown = (image.url or image.sha256) if image else ""
        return _digest(f"{self.task} {shown}")


async def run_batch_item(
    emby: "AsyncEmby", item: BatchItem, image: Image | None, save: Callable[[Image], str]
) -> BatchRecord:
    """Send one item, with its image, and return the record. An `EmbyError` becomes a record too.

    `save` keeps a generated image and returns its path for the record; it is called with all images
    that were received, also before an error. What it raises, and nothing else, is raised.
    """
    content = [ImagePart(image, item.detail)] if image else []
    try:
        reply = await emby.chat(
            [Message.user(*content, item.prompt)], model=item.model, **item.options
        )
    except EmbyError as error:
        return batch_record(item, item.key(image), error, save)
    return batch_record(item, item.key(image), reply, save)


def batch_record(
    item: BatchItem, key: str, outcome: ChatReply | EmbyError, save: Callable[[Image], str] = str
) -> BatchRecord:
    """The record of a reply, or of an error and what was received before it."""
    if isinstance(outcome, EmbyError):
        reply, error = outcome.partial or ChatReply(), _error(outcome)
        request_id = outcome.request_id or reply.request_id
    else:
        reply, error, request_id = outcome, None, outcome.request_id
    return {
        "input": item.input,
        "text": reply.text,
        "images": [image.url or save(image) for image in reply.images],
        "error": error,
        "cost": reply.usage.cost if reply.usage else None,
        "usage": asdict(reply.usage) if reply.usage else None,
        "finish_reason": reply.finish_reason,
        "notice": "" if error else reply.notice,
        "request_id": request_id,
        "model": item.model,
        "prompt": item.prompt,
        "key": key,
        "task": item.task,
    }


def _error(error: EmbyError) -> dict[str, Any]:
    status = error.status if isinstance(error, APIError) else None
    return {"type": type(error).__name__, "message": str(error), "status": status}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
