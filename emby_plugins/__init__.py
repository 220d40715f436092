"""Emby, the OpenAI-compatible model gateway, in Python: vision in, generated images out.

    from emby_plugins import Emby, Image

    with Emby() as emby:                        # EMBY_API_KEY; Emby(base_url="mock:") needs none
        reply = emby.chat("What is shown here?", images=[Image.from_path("dog.jpg")])
        print(reply.text)

These are all the public names. They are resolved when first used: importing costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from emby_plugins.catalog import (
        DOCUMENTED_MODELS,
        MOCK_MODELS,
        ModelCard,
        find_model,
        known_models,
        load_cards,
        save_cards,
    )
    from emby_plugins.chat import (
        DEFAULT_MODEL,
        ChatOptions,
        ChatReply,
        Citation,
        Content,
        FilePart,
        Finished,
        ImageConfig,
        ImagePart,
        ImageReceived,
        JSONSchema,
        Message,
        ReasoningDelta,
        StreamEvent,
        TextDelta,
        TextPart,
        Tool,
        ToolCall,
        ToolCallDelta,
        Usage,
    )
    from emby_plugins.client import AsyncEmby, AsyncReplyStream, Emby, ReplyStream
    from emby_plugins.errors import (
        APIError,
        AuthenticationError,
        BadRequestError,
        BillingError,
        ConfigurationError,
        DeadlineExceededError,
        EmbyConnectionError,
        EmbyError,
        EmbyTimeoutError,
        ImageCountError,
        InvalidImageError,
        InvalidImageInputError,
        MalformedReplyError,
        MissingImageError,
        MissingKeyError,
        ModelNotFoundError,
        NotFoundError,
        PermissionDeniedError,
        ProviderAccountError,
        RateLimitError,
        ReplyError,
        ReplyTooLargeError,
        RequestError,
        ServerError,
        TransportError,
        TruncatedReplyError,
    )
    from emby_plugins.hookspecs import hookimpl
    from emby_plugins.images import Image, Provenance
    from emby_plugins.protocol.backend import Backend, BackendRequest, BackendResponse
    from emby_plugins.protocol.limits import Limits
    from emby_plugins.settings import DEFAULT_BASE_URL, find_base_url

__all__ = [
    "APIError",
    "AsyncEmby",
    "AsyncReplyStream",
    "AuthenticationError",
    "Backend",
    "BackendRequest",
    "BackendResponse",
    "BadRequestError",
    "BillingError",
    "ChatOptions",
    "ChatReply",
    "Citation",
    "ConfigurationError",
    "Content",
    "DEFAULT_BASE_URL",
    "DEFAULT_MODEL",
    "DOCUMENTED_MODELS",
    "DeadlineExceededError",
    "Emby",
    "EmbyConnectionError",
    "EmbyError",
    "EmbyTimeoutError",
    "FilePart",
    "Finished",
    "Image",
    "ImageConfig",
    "ImageCountError",
    "ImagePart",
    "ImageReceived",
    "InvalidImageError",
    "InvalidImageInputError",
    "JSONSchema",
    "Limits",
    "MOCK_MODELS",
    "MalformedReplyError",
    "Message",
    "MissingImageError",
    "MissingKeyError",
    "ModelCard",
    "ModelNotFoundError",
    "NotFoundError",
    "PermissionDeniedError",
    "Provenance",
    "ProviderAccountError",
    "RateLimitError",
    "ReasoningDelta",
    "ReplyError",
    "ReplyStream",
    "ReplyTooLargeError",
    "RequestError",
    "ServerError",
    "StreamEvent",
    "TextDelta",
    "TextPart",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "TransportError",
    "TruncatedReplyError",
    "Usage",
    "find_base_url",
    "find_model",
    "hookimpl",
    "known_models",
    "load_cards",
    "save_cards",
]

_ROOMS = {
    "catalog": (
        "DOCUMENTED_MODELS MOCK_MODELS ModelCard find_model known_models load_cards save_cards"
    ),
    "chat": (
        "DEFAULT_MODEL ChatOptions ChatReply Citation Content FilePart Finished ImageConfig "
        "ImagePart ImageReceived JSONSchema Message ReasoningDelta StreamEvent TextDelta "
        "TextPart Tool ToolCall ToolCallDelta Usage"
    ),
    "client": "AsyncEmby AsyncReplyStream Emby ReplyStream",
    "errors": (
        "APIError AuthenticationError BadRequestError BillingError ConfigurationError "
        "DeadlineExceededError EmbyConnectionError EmbyError EmbyTimeoutError "
        "ImageCountError InvalidImageError InvalidImageInputError MalformedReplyError "
        "MissingImageError MissingKeyError ModelNotFoundError NotFoundError PermissionDeniedError "
        "ProviderAccountError RateLimitError ReplyError ReplyTooLargeError RequestError "
        "ServerError TransportError TruncatedReplyError"
    ),
    "hookspecs": "hookimpl",
    "images": "Image Provenance",
    "protocol.backend": "Backend BackendRequest BackendResponse",
    "protocol.limits": "Limits",
    "settings": "DEFAULT_BASE_URL find_base_url",
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names.split()}


def __getattr__(name: str) -> object:
    room = _HOME.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{room}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
