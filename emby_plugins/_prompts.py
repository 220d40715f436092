"""What a caller gives becomes a `ChatRequest`: prompts, histories, images and options.

Everything that can be wrong with them is refused here, before anything is sent or paid, in an
error that names the right call.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, cast

from emby_plugins._chat import (
    ChatOptions,
    ChatReply,
    ChatRequest,
    ImageConfig,
    JSONSchema,
    ServerTool,
    Tool,
)
from emby_plugins._errors import RequestError
from emby_plugins._image_sources import decode_data_url
from emby_plugins._images import Image
from emby_plugins._messages import (
    Detail,
    FilePart,
    ImagePart,
    Message,
    Part,
    Role,
    TextPart,
    ToolCall,
    add_system_text,
    as_part,
)
from emby_plugins._suggestions import nearest, suggest_image

Turn: TypeAlias = str | Message | ChatReply | Mapping[str, Any]
"""One message of a history; a string is the user's, a reply the assistant's.

A mapping has OpenAI's form: `{"role": "user", "content": "Hello"}`, its content a string or parts.
"""

Prompt: TypeAlias = Turn | Iterable[Turn]
"""A single message, or a history of them."""

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_EXPECTED = "Give a string, a Message, or a list of messages such as Message.user('Hello')."
# What callers of other packages put into the body by mistake. The gateway would be shown a secret.
_NOT_IN_BODY = {
    "api_key": "Pass the key as api_key= when making the client.",
    "authorization": "Pass the key as api_key= when making the client.",
    "headers": "Pass headers= to the call.",
    "extra_headers": "Pass headers= to the call.",
    "default_headers": "Pass headers= when making the client.",
    "base_url": "Pass base_url= when making the client.",
}


def chat_request(
    prompt: Prompt,
    *,
    model: str,
    images: Iterable[Image] = (),
    system: str | None = None,
    options: ChatOptions | None = None,
    stream: bool = False,
) -> ChatRequest:
    """A request from a prompt or a history; `images` join its last message, the user's.

    Raises `RequestError` for what can't be sent, and `TypeError` for unknown options.
    """
    options = options or {}
    _check_options(options)
    messages = _messages(prompt)
    parts = _image_parts(images)
    if parts:
        last = messages[-1]
        if last.role != "user":
            msg = f"images= joins the last message, but that one has the role {last.role!r}."
            raise RequestError(msg, hint="Put the images into a Message.user() at the end.")
        messages = (*messages[:-1], replace(last, content=(*last.content, *parts)))
    if not isinstance(system, str | None):
        raise RequestError(f"system is {_named(system)}; expected a string.")
    if system:
        messages = add_system_text(messages, system)
    return ChatRequest(model, messages, options, stream)


def stop_sequences(options: ChatOptions) -> tuple[str, ...]:
    """The stop sequences of a call. Raises `RequestError` for what is none."""
    stop = options.get("stop")
    if stop is None:
        return ()
    given = (stop,) if isinstance(stop, str) else stop
    if not isinstance(given, Sequence) or not all(
        isinstance(sequence, str) and sequence for sequence in given
    ):
        raise RequestError(f"stop is {stop!r}; expected a string, or a list of non-empty strings.")
    return tuple(given)


def check_n(n: object) -> None:
    """Raise `RequestError` for several replies from one call: it would be billed for all."""
    if n is not None and n != 1:
        msg = f"n={n!r}: a call gives one reply; gateways ignore n, or bill for what would be lost."
        raise RequestError(msg, hint="Call chat() several times, or emby.image(prompt, n=...).")


def _messages(prompt: Prompt) -> tuple[Message, ...]:
    if isinstance(prompt, str | Message | ChatReply | Mapping):
        return (_message(prompt),)
    suggestion = _suggest_turn(prompt)
    if suggestion or not isinstance(prompt, Iterable):
        raise RequestError(f"The prompt is {_named(prompt)}.", hint=suggestion or _EXPECTED)
    messages = tuple(map(_message, prompt))
    if not messages:
        raise RequestError("The history has no messages.", hint=_EXPECTED)
    return messages


def _message(turn: Turn) -> Message:
    if isinstance(turn, str):
        return Message.user(turn)
    if isinstance(turn, Message):
        return turn
    if isinstance(turn, ChatReply):
        return turn.message
    if isinstance(turn, Mapping):
        return _message_of_dict(turn)
    hint = _suggest_turn(turn) or _EXPECTED
    raise RequestError(f"A message of the history is {_named(turn)}.", hint=hint)


def _suggest_turn(value: object) -> str:
    if isinstance(value, tuple) and len(value) == 2 and value[0] in (*_ROLES, "human", "ai"):
        return f"Use {{'role': {value[0]!r}, 'content': ...}} in place of a pair."
    if isinstance(value, Image):
        return "Pass images=[image] beside the prompt, or Message.user('What is this?', image)."
    call = "" if isinstance(value, str) else suggest_image(value)
    return f"{call} Pass the image as images=[...] beside the prompt." if call else ""


def _message_of_dict(turn: Mapping[str, Any]) -> Message:
    role = _ROLES.get(str(turn.get("role")))
    if role is None:
        known = ", ".join(_ROLES)
        msg = f"A message has the role {turn.get('role')!r}."
        raise RequestError(msg, hint=f"Roles are {known}.")
    content = turn.get("content")
    if content is None and role != "assistant":
        hint = "Give it a string, or a list of parts; Message.user('Hello') is the same as a dict."
        raise RequestError(f"A message with the role {role!r} has no content.", hint=hint)
    if content is None:
        parts: list[Part] = []
    elif isinstance(content, str):
        parts = [TextPart(content)]
    elif isinstance(content, Sequence):
        parts = [_part(item) for item in content]
    else:
        msg = f"The content of a message is {_named(content)}."
        raise RequestError(msg, hint="Give a string, or a list of parts.")
    # The form in which the gateway gives images, for those who keep its messages.
    parts += [_part(item) for item in turn.get("images") or ()]
    return Message(
        role,
        tuple(parts),
        tool_calls=tuple(map(_tool_call, turn.get("tool_calls") or ())),
        tool_call_id=str(turn.get("tool_call_id") or ""),
        name=str(turn.get("name") or ""),
    )


def _part(item: Any) -> Part:
    if not isinstance(item, Mapping):
        return as_part(item)
    kind = item.get("type")
    if kind == "text" and isinstance(item.get("text"), str):
        return TextPart(item["text"])
    if kind == "image_url":
        source = item.get("image_url")
        source = source if isinstance(source, Mapping) else {"url": source}
        url = source.get("url")
        if isinstance(url, str):
            is_inline = url[:5].lower() == "data:"
            image = Image.from_data_url(url) if is_inline else Image.from_url(url)
            return ImagePart(image, cast("Detail | None", source.get("detail")))
    if kind == "file" and isinstance(item.get("file"), Mapping):
        return _file(item["file"])
    shown = f"has the type {kind!r}" if kind else f"is {_named(item)}"
    hint = "Parts have the type text, image_url or file."
    raise RequestError(f"A part of a message {shown}.", hint=hint)


def _file(file: Mapping[str, Any]) -> FilePart:
    name, url = str(file.get("filename") or ""), file.get("file_data")
    if not isinstance(url, str):
        return FilePart(filename=name, file_id=file.get("file_id"))
    media_type = url[5:].partition(";")[0] or None
    return FilePart.from_bytes(decode_data_url(url), filename=name, media_type=media_type)


def _tool_call(item: object) -> ToolCall:
    if isinstance(item, ToolCall):
        return item
    function = item.get("function") if isinstance(item, Mapping) else None
    if isinstance(item, Mapping) and isinstance(function, Mapping):
        arguments = str(function.get("arguments") or "{}")
        return ToolCall(str(item.get("id") or ""), str(function.get("name") or ""), arguments)
    hint = "They have OpenAI's form: {'id': ..., 'function': {'name': ..., 'arguments': ...}}."
    raise RequestError(f"A tool call is {_named(item)}.", hint=hint)


def _image_parts(images: object) -> tuple[Part, ...]:
    if isinstance(images, Image | ImagePart | FilePart):
        msg = f"images is a single {type(images).__name__}; expected a list."
        raise RequestError(msg, hint="Use images=[image].")
    if images is None:
        raise RequestError("images is None; expected a list of images.", hint="Leave images= out.")
    call = suggest_image(images)
    if call or not isinstance(images, Iterable) or isinstance(images, Mapping):
        hint = call and f"{call[:-1].replace('Use ', 'Use images=[')}]."
        raise RequestError(f"images is {_named(images)}; expected a list of images.", hint=hint)
    return tuple(_image_part(at, item) for at, item in enumerate(images))


def _image_part(at: int, item: object) -> Part:
    if isinstance(item, Image):
        return ImagePart(item)
    if isinstance(item, ImagePart | FilePart):
        return item
    msg = f"images[{at}] is {_named(item)}; expected an Image."
    raise RequestError(msg, hint=suggest_image(item, name=f"images[{at}]"))


def _check_options(options: ChatOptions) -> None:
    config = options.get("image_config")
    if config is not None:
        if not isinstance(config, Mapping):
            hint = "Use image_config={'aspect_ratio': '16:9'}."
            raise RequestError(f"image_config is {_named(config)}; expected a dict.", hint=hint)
        for name in config.keys() - ImageConfig.__annotations__.keys():
            known = ImageConfig.__annotations__
            near = f"image_{name}" if f"image_{name}" in known else nearest(name, known)
            hint = f"did you mean {near!r}?" if near else f"valid keys are {', '.join(known)}"
            raise TypeError(f"unknown key {name!r} in image_config; {hint}")
    tools: Any = options.get("tools") or ()
    for at, tool in enumerate(tools):
        if not isinstance(tool, Tool | ServerTool):
            hint = "Use Tool(name, description, parameters), where parameters is a JSON schema."
            raise RequestError(f"tools[{at}] is {_named(tool)}; expected a Tool.", hint=hint)
    shape: Any = options.get("response_format")
    if shape is not None and not isinstance(shape, str | JSONSchema):
        hint = "Use JSONSchema({...}), or the string 'json_object'."
        raise RequestError(f"response_format is {_named(shape)}.", hint=hint)
    extra = options.get("extra_body") or {}
    check_n(extra.get("n"))
    stop_sequences(options)
    for name in extra:
        lower = str(name).lower().replace("-", "_")
        hint = _NOT_IN_BODY.get("api_key" if lower.endswith("api_key") else lower, "")
        if hint:
            raise RequestError(f"extra_body can't carry {name!r}.", hint=hint)


def _named(value: object) -> str:
    """A value as an error shows it: strings in quotes, all else by its type."""
    if value is None:
        return "None"
    if isinstance(value, str):
        return repr(value if len(value) <= 80 else f"{value[:80]}...")
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"
