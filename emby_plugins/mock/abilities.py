"""What a gateway refuses of a body that its schema accepts: abilities, limits, image URLs."""

import re

from emby_plugins.mock.errors import ApiError
from emby_plugins.mock.models import Route
from emby_plugins.mock.profiles import Profile
from emby_plugins.mock.requests import AudioPart, ChatRequest, FilePart, ImagePart

_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^,]*)?,", re.IGNORECASE)
_NOWHERE = re.compile(r"https://[^/?#]*\.invalid(?::\d+)?(?:[/?#]|$)", re.IGNORECASE)


def check_abilities(request: ChatRequest, route: Route, profile: Profile) -> None:
    """Refuse what is asked of a model that can't do it: tools, schemas, reasoning."""
    model, name = route.model, route.shown(profile)
    if request.response_format == "json_schema" and not model.json_schema:
        raise ApiError(400, f"Model {name} does not support JSON schema output mode")
    if request.response_format == "json_object" and model.only_makes_images:
        raise ApiError(400, f"Model {name} does not support JSON output mode")
    if request.tools and not model.tools:
        advice = "Remove the tools parameter or use a tool-capable model."
        raise ApiError(400, f"Model {name} does not support tool calls. {advice}")
    if request.reasoning_effort and not model.reasoning:
        advice = "Remove the reasoning_effort parameter or use a reasoning-capable model."
        raise ApiError(400, f"Model {name} does not support reasoning. {advice}")


def check_input(request: ChatRequest, route: Route, profile: Profile) -> None:
    """Refuse parts and limits that the model's provider does not take; known after the key."""
    model = route.model
    kinds = {type(part) for part in request.parts}
    refused = (
        ("document", FilePart in kinds and not model.documents),
        ("audio", AudioPart in kinds),
        ("image", ImagePart in kinds and not model.image_input),
    )
    for kind, is_refused in refused:
        if is_refused:
            message = f"Provider {route.provider} does not support {kind} input"
            raise ApiError(400, f"{message} for model {model.id}.")
    if request.max_tokens is not None and request.max_tokens > model.max_output:
        raise ApiError(
            400,
            f"The requested max_tokens ({request.max_tokens}) exceeds the maximum output tokens "
            f"of model {model.id} ({model.max_output})",
        )
    # Only for Google does a gateway open images itself; Emby documents its own error for bad ones.
    if model.speaks == "google" and not profile.is_emby:
        for part in request.parts:
            if isinstance(part, ImagePart):
                _check_image(part.url, profile)


def _check_image(url: str, profile: Profile) -> None:
    scheme = url.partition(":")[0].lower()
    reason = ""
    if scheme == "data":
        found = _DATA_URL.match(url)
        if found is None:
            reason = "Invalid data URL"
        elif not found[1].lower().startswith("image/"):
            reason = "Data URL must contain an image"
    elif scheme != "https":
        reason = "Image URLs must use HTTPS"
    elif _NOWHERE.match(url):
        # The mock reaches no network: a name that can't exist stands for what can't be fetched.
        raise ApiError(500, "Internal Server Error")
    if reason and profile.flat_errors:
        raise ApiError(500, "Internal Server Error")
    if reason:
        raise ApiError(400, f"Failed to process image: {reason}")
