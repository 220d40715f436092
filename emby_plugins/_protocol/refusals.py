"""What to make of a refused request: another form of it that the gateway takes, or a hint.

Only refusals of the gateway's own schema are answered with another form: it checks that before
it calls a provider, so nothing can have been paid.
"""

import logging
from dataclasses import replace

from emby_plugins._chat import ChatRequest, ServerTool, Tool
from emby_plugins._errors import APIError, BadRequestError, EmbyError, NotFoundError
from emby_plugins._messages import FilePart, add_system_text
from emby_plugins._protocol.images_request import ImagesRequest

_log = logging.getLogger("emby_plugins")


class Dialect:
    """What a client has learned of its gateway, and keeps for its life."""

    def __init__(self) -> None:
        self._takes_required = True
        self.has_images_endpoint = True

    def learn_no_images_endpoint(self, error: APIError) -> bool:
        """Whether the gateway has no images endpoint; nothing was paid for finding out.

        2025-11 and 2025-12 have none (case `route-images-generations`).
        """
        if not _has_no_endpoint(error):
            return False
        self.has_images_endpoint = False
        _log.info("The gateway has no images endpoint. From now on images are made by chat.")
        return True

    def adapted(self, request: ChatRequest) -> ChatRequest:
        """The request in a form that the gateway takes, as far as that is known."""
        return request if self._takes_required else _without_required(request)

    def learn(self, request: ChatRequest, error: APIError) -> bool:
        """Whether a refusal taught something that gives this request another form.

        2025-11 refuses `tool_choice: "required"` (tool-choice-required), all others take it.
        """
        if error.param != "tool_choice" or error.provider or not _is_required(request):
            return False
        if self._takes_required:
            self._takes_required = False
            _log.info(
                "The gateway refuses tool_choice 'required'. From now on a single tool is "
                "named, and with several the model is instructed to call one."
            )
        return True


def hint_for(request: ChatRequest | ImagesRequest, error: EmbyError) -> str:
    """What to do about a refusal of this request; empty if the request gives no clue."""
    if not isinstance(error, APIError) or error.provider:
        return ""
    if isinstance(request, ImagesRequest):
        has_none = "This gateway has no images endpoint: generate the image by chat."
        return has_none if _has_no_endpoint(error) else ""
    parts = [part for message in request.messages for part in message.content]
    files = [part for part in parts if isinstance(part, FilePart)]
    if isinstance(error, BadRequestError) and files and error.param.endswith(".type"):
        # file-part and part-input-audio, 2025-11 and 2025-12.
        if all(file.media_type.startswith("audio/") for file in files):
            return "This gateway takes no audio: send a transcript."
        return "This gateway takes no files: send the text, or pages as images."
    types = [t.type for t in request.options.get("tools") or () if isinstance(t, ServerTool)]
    if isinstance(error, BadRequestError) and types and error.param.startswith("tool"):
        # The schemas of 2025-11 and 2025-12 have functions only; nothing was billed.
        return (
            f"This gateway does not run {' or '.join(map(repr, types))} itself: leave out the "
            "server-side tool, or define a function tool."
        )
    urls = [image.url for m in request.messages for image in m.images if image.url]
    if error.status == 500 and urls:
        # edit-https-unfetchable of every state: no word of the image.
        return (
            f"The gateway may not have been able to fetch {urls[0]}: "
            "download the image and send its bytes."
        )
    return ""


def _has_no_endpoint(error: APIError) -> bool:
    return isinstance(error, NotFoundError) and error.status == 404 and not error.provider


def _is_required(request: ChatRequest) -> bool:
    return request.options.get("tool_choice") == "required"


def _without_required(request: ChatRequest) -> ChatRequest:
    """The same demand without the word: one tool by its name, several by an instruction."""
    tools = request.options.get("tools") or ()
    if not _is_required(request) or not tools:
        return request
    names = [tool.name if isinstance(tool, Tool) else tool.type for tool in tools]
    if len(names) == 1:
        return replace(request, options={**request.options, "tool_choice": names[0]})
    instruction = (
        f"You must answer by calling at least one of these tools: {', '.join(names)}. "
        "Do not answer in text."
    )
    messages = add_system_text(request.messages, instruction, at_end=True)
    return replace(request, messages=messages, options={**request.options, "tool_choice": "auto"})
