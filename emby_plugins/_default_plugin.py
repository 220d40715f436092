"""The built-in plugin: the documented models, and what to do about the commonest errors."""

from collections.abc import Iterable

from emby_plugins._catalog import DOCUMENTED_MODELS, ModelCard
from emby_plugins._errors import (
    AuthenticationError,
    BadRequestError,
    BillingError,
    EmbyConnectionError,
    EmbyError,
    EmbyTimeoutError,
    ModelNotFoundError,
    NotFoundError,
    PermissionDeniedError,
    ProviderAccountError,
    RateLimitError,
    UnreadableInputImageError,
)
from emby_plugins._hookspecs import hookimpl


@hookimpl(trylast=True)
def emby_models() -> Iterable[ModelCard]:
    """The models that Emby's pages name."""
    return DOCUMENTED_MODELS


@hookimpl(trylast=True)
def emby_error_hint(error: EmbyError, models: list[ModelCard]) -> str | None:
    """The hint that the error has already, else one by its kind."""
    if error.hint:
        return error.hint
    seeing = ", ".join(card.id for card in models if card.vision)
    match error:
        case UnreadableInputImageError():
            return "Send JPEG, PNG, WebP or GIF, inline or at a public https address."
        case ModelNotFoundError():
            return "Emby().models() lists the available models."
        case BadRequestError() if "vision" in error.message.lower() and seeing:
            return f"Models that accept images: {seeing}."
        case AuthenticationError():
            return "Check EMBY_API_KEY: the gateway does not accept this key."
        case BillingError():
            return "Add credit to the account, then try again."
        case PermissionDeniedError():
            return "The key is valid, but may not do this: ask the person who issued it."
        case ProviderAccountError():
            return (
                f"{error.provider or 'The provider'} refused the gateway's account, not your key: "
                "choose a model of another provider, or tell the operator of the gateway."
            )
        case NotFoundError() if error.provider or "provider" in error.message:
            return "Choose another model: the provider does not serve this one now."
        case RateLimitError():
            wait = error.retry_after
            return (
                f"Retry after {wait:g} second{'s' * (wait != 1)}." if wait else "Wait, then retry."
            )
        case EmbyConnectionError():
            return "Check the network, and the base URL (EMBY_BASE_URL)."
        case EmbyTimeoutError():
            return "Increase timeout= or deadline= (seconds)."
        case _:
            return None
