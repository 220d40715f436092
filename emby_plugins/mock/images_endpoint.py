"""POST /images/generations and /images/edits: the OpenAI form, translated as the gateway does it.

The newest gateway makes a chat request of it and takes the images out of the reply, so the checks
of a chat apply. Read in its public source (2026-08); Emby's portal has the endpoint, and no page of
Emby describes it: the profile `emby` accepts what OpenAI documents.
"""

from typing import TYPE_CHECKING, Any

from emby_plugins.mock.error_responses import JsonDict, encode_json
from emby_plugins.mock.errors import ApiError
from emby_plugins.mock.models import find_model
from emby_plugins.mock.profiles import Profile
from emby_plugins.mock.requests import ChatRequest, ImageConfig, ImagePart, Message, Part, TextPart
from emby_plugins.mock.schema_validation import request_schema, validate

if TYPE_CHECKING:
    from emby_plugins.mock.respond import Reply

IMAGE_PATHS = ("/images/generations", "/images/edits")

_CREATED = 1730000000


def chat_request_of(path: str, body: Any, profile: Profile) -> ChatRequest:
    """The chat request that an images request becomes."""
    issues: list[Any] = validate(body, request_schema(path.removeprefix("/")))
    if issues:
        listed = ", ".join(
            f"{'.'.join(map(str, issue['path']))}: {issue['message']}" for issue in issues
        )
        raise ApiError(400, f"Invalid request parameters: {listed}", early=True)
    model = body.get("model", "auto")
    model = profile.auto_image_model if model == "auto" else model
    found = find_model(model, profile, scripted=True).model
    if not found.image_output and found.price is not None:
        advice = "Use the /v1/chat/completions endpoint instead."
        message = f"Model {found.id} is a chat model and cannot be used with /v1{path}. {advice}"
        raise ApiError(400, message, early=True)
    urls = [image["image_url"] for image in body.get("images", ())]
    for index, url in enumerate(urls):
        if not url.startswith(("https://", "data:image/")):
            where = f"images[{index}].image_url"
            raise ApiError(400, f"{where} must be an https URL or a base64 data URL", early=True)
    parts: tuple[Part, ...] = tuple(ImagePart({"url": url}) for url in urls)
    parts += (TextPart(body["prompt"]),)
    size = "" if body.get("size") == "auto" else body.get("size", "")
    config = ImageConfig(body.get("aspect_ratio", ""), size, body.get("n", 1))
    # The gateway's own form of /generations has neither.
    kept = ("output_format", "background") if urls or profile.is_emby else ()
    options = {name: body[name] for name in kept if name in body}
    return ChatRequest(model, (Message("user", parts),), options, image_config=config)


def images_body(reply: "Reply", chat: ChatRequest, profile: Profile) -> bytes:
    """The response with the images of a reply."""
    if not reply.images and reply.finish_reason not in ("content_filter", "image_safety"):
        raise ApiError(500, "The model did not generate any images. Try a different model.")
    prompt = chat.messages[0].text
    body: JsonDict = {"created": _CREATED, "data": [
        {"b64_json": image.url.partition(";base64,")[2] if image.url else image.base64,
         "revised_prompt": prompt} for image in reply.images
    ]}  # fmt: skip
    usage = reply.usage
    if profile.is_emby:
        details = {"text_tokens": usage.prompt_tokens, "image_tokens": 0}
        body["usage"] = {
            "input_tokens": usage.prompt_tokens,
            "output_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
            "input_tokens_details": details,
        }
    if len(chat.messages[0].parts) > 1:
        body |= chat.body
    return encode_json(body)
