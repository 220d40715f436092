"""What a gateway refuses of a body that its schema accepts: capabilities, limits, image URLs."""

import re

from emby_plugins.mock.errors import ApiError
from emby_plugins.mock.models import Route
from emby_plugins.mock.profiles import Profile
from emby_plugins.mock.requests import AudioPart, ChatRequest, FilePart, ImagePart

_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^,]*)?,", re.IGNORECASE)
_UNRESOLVABLE = re.compile(r"https://[^/?#]*\.invalid(?::\d+)?(?:[/?#]|$)", re.IGNORECASE)


def check_capabilities(request: ChatRequest, route: Route, profile: Profile) -> None:
    """Refuse what the model can't do: tools, schemas, reasoning."""
    model, advice = route.model, "Remove the {0} parameter or use a {1}-capable model."
    form = request.response_format
    reasoning_advice = advice.format("reasoning_effort", "reasoning")
    for is_refused, feature in (
        (form == "json_schema" and not model.json_schema, "JSON schema output mode"),
        (form == "json_object" and not model.text, "JSON output mode"),
        (request.tools and not model.tools, f"tool calls. {advice.format('tools', 'tool')}"),
        (request.reasoning_effort and not model.reasoning, f"reasoning. {reasoning_advice}"),
    ):
        if is_refused:
            raise ApiError(400, f"Model {route.name_in(profile)} does not support {feature}")


def check_input(request: ChatRequest, route: Route, profile: Profile) -> None:
    """Refuse parts and limits that the model's provider does not accept; known after the key."""
    model = route.model
    kinds = {type(part) for part in request.parts}
    for is_refused, kind in (
        (FilePart in kinds and not model.documents, "document"),
        (AudioPart in kinds, "audio"),
        (ImagePart in kinds and not model.image_input, "image"),
    ):
        if is_refused:
            message = f"Provider {route.provider} does not support {kind} input"
            raise ApiError(400, f"{message} for model {model.id}.")
    if (request.max_tokens or 0) > model.max_output:
        message = f"The requested max_tokens ({request.max_tokens}) exceeds the maximum output"
        raise ApiError(400, f"{message} tokens of model {model.id} ({model.max_output})")
    # Only for Google does a gateway open images itself; Emby documents its own error for bad ones.
    if model.speaks == "google" and not profile.is_emby:
        for part in request.parts:
            if isinstance(part, ImagePart):
                _check_image_url(part.url, profile)


def _check_image_url(url: str, profile: Profile) -> None:
    scheme, data = url.partition(":")[0].lower(), _DATA_URL.match(url)
    if scheme == "https":
        # The mock reaches no network: a name that can't exist represents what can't be fetched.
        reason = "Internal Server Error" if _UNRESOLVABLE.match(url) else ""
    elif scheme != "data":
        reason = "Image URLs must use HTTPS"
    elif data is None:
        reason = "Invalid data URL"
    else:
        is_image = data[1].lower().startswith("image/")
        reason = "" if is_image else "Data URL must contain an image"
    if reason and (profile.flat_errors or scheme == "https"):
        raise ApiError(500, "Internal Server Error")
    if reason:
        raise ApiError(400, f"Failed to process image: {reason}")
