"""The model classes of `llm`, and how a prompt runs."""

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import llm
from llm.models import _BaseModel
from llm.parts import StreamEvent

from emby_plugins import IMAGE_MEDIA_TYPES, MOCK_MODELS, ModelCard
from llm_emby import _model_list as model_list
from llm_emby._options import Options
from llm_emby._server_tools import WebSearch

PREFIX = "emby/"
# llm detects types with puremagic, which takes HEIC for MP4 and has its own name for BMP. What the
# file really contains is checked when read.
_IMAGES = frozenset(IMAGE_MEDIA_TYPES) | {"image/heif", "image/x-ms-bmp", "video/mp4"}
_SOUNDS = (
    "aac",
    "aiff",
    "flac",
    "m4a",
    "mp3",
    "mp4",
    "mpeg",
    "ogg",
    "wav",
    "wave",
    "webm",
    "x-wav",
)
_FILES = frozenset({"application/pdf", *(f"audio/{name}" for name in _SOUNDS)})


def all_models() -> Iterator[tuple["EmbyModel", "AsyncEmbyModel", list[str]]]:
    """Every known model, sync and async, and its aliases."""
    cards = model_list.known_chat_models()
    taken = {llm_name(card.id) for card in cards}
    for card in cards:
        name = llm_name(card.id)
        aliases = [alias for alias in map(llm_name, card.aliases) if alias not in taken]
        taken.update(aliases)
        yield EmbyModel(name, card), AsyncEmbyModel(name, card), aliases
    for card in MOCK_MODELS:
        yield EmbyModel(card.id, card, "mock:"), AsyncEmbyModel(card.id, card, "mock:"), []


def llm_name(model_id: str) -> str:
    """The name in `llm` of a model of the gateway."""
    return model_id if model_id.startswith(PREFIX) else PREFIX + model_id


class _Shared(_BaseModel):
    """What both classes share: everything but the loop."""

    can_stream = True
    key_env_var = "EMBY_API_KEY"
    Options = Options  # type: ignore[assignment]  # llm means any subclass, and declares its own

    def __init__(self, model_id: str, card: ModelCard, base_url: str | None = None) -> None:
        self.model_id = model_id
        self.wire_name = card.id
        self.needs_key = None if base_url else "emby"
        self.generates_images = card.image_output
        self.generates_text = card.text_output
        self.reads_images = card.vision
        # Unknown abilities are allowed: the gateway refuses what a model can't do, free of charge.
        self.attachment_types = _FILES if card.vision is False else _IMAGES | _FILES
        self.supports_tools = card.tools is not False
        self.supports_schema = card.structured_output is not False
        self._base_url = base_url
        self._card = card

    @property
    def supported_server_side_tools(self) -> tuple[type[llm.ServerSideTool], ...]:
        """`WebSearch`, and tools given as the gateway's own specification."""
        return (WebSearch, llm.ServerSideTool)

    def get_key(self, explicit_key: str | None = None) -> str | None:
        """The key by `llm`'s rules, or None; the client decides whether one is required."""
        try:
            return super().get_key(explicit_key)
        except llm.NeedsKeyException:
            return None

    def client_settings(
        self, prompt: llm.Prompt, key: str | None, image_folder: Path, *plugins: object
    ) -> dict[str, Any]:
        """The client's arguments for a prompt."""
        from llm_emby._errors import Hints, KnownModel

        options = prompt.options
        assert isinstance(options, Options)
        settings: dict[str, Any] = {
            # An empty key keeps the client from reading the environment, as llm did already.
            "api_key": key or "",
            "base_url": self._base_url,
            "metadata": options.metadata,
            "source": options.source,
            "headers": options.header,
            "timeout": options.timeout,
            # Whoever allows a longer silence than a call normally takes wants to wait for it.
            "deadline": options.deadline or (options.timeout and max(options.timeout, 600)),
            "max_retries": options.max_retries,
            "image_metadata": options.image_metadata,
            "image_folder": image_folder,
            "plugins": [Hints(key), KnownModel(self._card), *plugins],
        }
        return {name: value for name, value in settings.items() if value is not None}


class EmbyModel(_Shared, llm.KeyModel):
    """A model of Emby."""

    def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.Response,
        conversation: llm.Conversation | None,  # noqa: ARG002 - prompt.messages has it all
        key: str | None,
    ) -> Iterator[StreamEvent]:
        """Run a prompt, and yield its reply. Raises `llm.ModelError`."""
        from emby_plugins import Emby
        from llm_emby._errors import translate_errors
        from llm_emby._image_files import image_drafts
        from llm_emby._request import chat_arguments, chat_messages, has_no_words
        from llm_emby._response import ResponseWriter

        writer = ResponseWriter(prompt, response, stream=stream)
        with (
            image_drafts(writer.target) as folder,
            translate_errors(writer),
            Emby(**self.client_settings(prompt, key, folder, writer)) as emby,
        ):
            writer.check_output()
            messages = chat_messages(prompt)
            if writer.is_chat and has_no_words(messages):
                writer.postpone()
                return
            arguments = chat_arguments(prompt, stream, fresh=writer.requires_image())
            with emby.stream(messages, model=self.wire_name, **arguments) as events:
                for event in events:
                    yield from writer.events(event)


class AsyncEmbyModel(_Shared, llm.AsyncKeyModel):
    """A model of Emby, for `llm`'s async side."""

    async def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.AsyncResponse,
        conversation: llm.AsyncConversation | None,  # noqa: ARG002
        key: str | None,
    ) -> AsyncGenerator[str | StreamEvent, None]:
        """As `EmbyModel.execute`."""
        from emby_plugins import AsyncEmby
        from llm_emby._errors import translate_errors
        from llm_emby._image_files import image_drafts
        from llm_emby._request import chat_arguments, chat_messages
        from llm_emby._response import ResponseWriter

        writer = ResponseWriter(prompt, response, stream=stream)
        with image_drafts(writer.target) as folder, translate_errors(writer):
            async with AsyncEmby(**self.client_settings(prompt, key, folder, writer)) as emby:
                writer.check_output()
                messages = chat_messages(prompt)
                arguments = chat_arguments(prompt, stream, fresh=writer.requires_image())
                async with emby.stream(messages, model=self.wire_name, **arguments) as events:
                    async for event in events:
                        for item in writer.events(event):
                            yield item
