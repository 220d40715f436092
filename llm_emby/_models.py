"""The models: what `llm` sees of them, and how a prompt runs."""

from collections.abc import AsyncGenerator, Iterator
from typing import Any

import llm
from llm.models import _BaseModel
from llm.parts import StreamEvent

from emby_plugins import MOCK_MODELS, ModelCard
from llm_emby import _model_list as catalogue
from llm_emby._options import Options

PREFIX = "emby/"
_IMAGES = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif"})
_FILES = frozenset({"application/pdf"})


def all_models() -> Iterator[tuple["EmbyModel", "AsyncEmbyModel", list[str]]]:
    """Every model known without asking, sync and async, and its aliases."""
    cards = catalogue.models_to_offer()
    taken = {named(card.id) for card in cards}
    for card in cards:
        name = named(card.id)
        aliases = [alias for alias in map(named, card.aliases) if alias not in taken]
        taken.update(aliases)
        yield EmbyModel(name, card), AsyncEmbyModel(name, card), aliases
    for card in MOCK_MODELS:
        yield EmbyModel(card.id, card, "mock:"), AsyncEmbyModel(card.id, card, "mock:"), []


def named(model_id: str) -> str:
    """What a model of the gateway is called in `llm`."""
    return model_id if model_id.startswith(PREFIX) else PREFIX + model_id


class _Shared(_BaseModel):
    """What both classes share: all but the loop."""

    can_stream = True
    key_env_var = "EMBY_API_KEY"
    Options = Options  # type: ignore[assignment]  # llm means any subclass, and declares its own

    def __init__(self, model_id: str, card: ModelCard, base_url: str | None = None) -> None:
        self.model_id = model_id
        self.wire_name = card.id
        self.needs_key = None if base_url else "emby"
        # What nobody says is allowed: the gateway refuses what the model can't do, unpaid.
        self.attachment_types = _FILES if card.vision is False else _IMAGES | _FILES
        self.supports_tools = card.tools is not False
        self.supports_schema = card.structured_output is not False
        self._base_url = base_url
        self._card = card

    def get_key(self, explicit_key: str | None = None) -> str | None:
        """The key by `llm`'s rules, or None: whether one is needed, the client decides."""
        try:
            return super().get_key(explicit_key)
        except llm.NeedsKeyException:
            return None

    def client_settings(self, prompt: llm.Prompt, key: str | None) -> dict[str, Any]:
        """How to make the client for a prompt."""
        from llm_emby._errors import Hints, KnownModel

        options = prompt.options
        assert isinstance(options, Options)
        settings: dict[str, Any] = {
            # An empty one keeps the client from looking in the environment, as llm did already.
            "api_key": key or "",
            "base_url": self._base_url,
            "metadata": options.metadata,
            "source": options.source,
            "plugins": [Hints(), KnownModel(self._card)],
        }
        if options.output is None:
            # Straight to where they are kept, without going through memory.
            settings["image_folder"] = catalogue.images_folder()
        if options.timeout:
            settings["timeout"] = options.timeout
        return settings


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
        """Run a prompt, and yield what comes back. Raises `llm.ModelError`."""
        from emby_plugins import Emby
        from llm_emby._errors import translate_errors
        from llm_emby._request import chat_messages, chat_options
        from llm_emby._response import ResponseWriter

        outgoing = ResponseWriter(prompt, response, stream=stream)
        with translate_errors(outgoing), Emby(**self.client_settings(prompt, key)) as emby:
            messages, options = chat_messages(prompt.messages), chat_options(prompt, stream)
            with emby.stream(messages, model=self.wire_name, **options) as events:
                for event in events:
                    yield from outgoing.events(event)


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
        from llm_emby._request import chat_messages, chat_options
        from llm_emby._response import ResponseWriter

        outgoing = ResponseWriter(prompt, response, stream=stream)
        with translate_errors(outgoing):
            async with AsyncEmby(**self.client_settings(prompt, key)) as emby:
                messages, options = chat_messages(prompt.messages), chat_options(prompt, stream)
                async with emby.stream(messages, model=self.wire_name, **options) as events:
                    async for event in events:
                        for item in outgoing.events(event):
                            yield item
