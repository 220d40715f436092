"""Respond to a chat request: describe, generate or edit images, call tools, fill in JSON, or talk.

The result is a Reply; `completions` serializes it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from emby_plugins._chat import Usage
from emby_plugins._images import Image
from emby_plugins._messages import ToolCall
from emby_plugins.mock import intent
from emby_plugins.mock.describe import describe, describe_file, measure, measurements
from emby_plugins.mock.edit import names_an_edit
from emby_plugins.mock.errors import ApiError, InputImageError, ProviderFailure
from emby_plugins.mock.image_files import Attachment, Opener, Picture, edit_all, generate_all
from emby_plugins.mock.json_mode import json_reply, wants_json
from emby_plugins.mock.models import MOCK, Route, models_of
from emby_plugins.mock.requests import (
    SYSTEM_ROLES,
    ChatRequest,
    FilePart,
    ImagePart,
    Message,
    TextPart,
)
from emby_plugins.mock.script import MockReply
from emby_plugins.mock.tools import calls
from emby_plugins.mock.values import Values

TOKENS_PER_INPUT_IMAGE = 258
TOKENS_PER_OUTPUT_IMAGE = 1290

_QUOTED = 200
_NO_USAGE = Usage()
_MAX_READ = 10_000
_TOOL_ROLES = ("tool", "function")
_ASKS_FOR_MODELS = re.compile(r"\b(?:what|which|list)\b[^.?!]{0,40}\bmodels\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """The content of a reply. `reported_usage` is what a scripted provider reports instead.

    The mock's token is a word between spaces; images have fixed prices. `plan` is added to the
    reasoning.
    """

    text: str | None = None
    images: tuple[Image, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str | None = None
    finish_reason: str | None = "stop"
    refusal: str | None = None
    annotations: tuple[Mapping[str, object], ...] = ()
    usage: Usage = _NO_USAGE
    reported_usage: Mapping[str, object] | None = None
    fields: Mapping[str, object] = field(default_factory=dict)
    plan: str = ""


@dataclass(frozen=True, slots=True)
class _Turn:
    """What to respond to: the messages since the assistant's last, with their images opened.

    `results` are the texts of tools, None if the user spoke last.
    """

    text: str
    pictures: tuple[Picture, ...]
    files: tuple[Attachment, ...]
    earlier: Picture | None
    results: tuple[str, ...] | None
    left_out: tuple[str, ...] = ()

    def sentences(self) -> list[str]:
        """A sentence about every image and file."""
        about = describe([measure(picture) for picture in self.pictures])
        return [*about, *(describe_file(file) for file in self.files), *self.left_out]


def respond(request: ChatRequest, route: Route, digest: str, *, documented: bool) -> Reply:
    """The reply to a request; `digest` names its tool calls.

    Raises ProviderFailure for what the provider refuses; with `documented`, a bad image remains an
    InputImageError.
    """
    # The gateways let every image pass: the provider refuses it.
    if _is_own(route) and not route.model.vision and any(map(_is_image, request.parts)):
        raise ProviderFailure.of(400, f"Model {route.model.id!r} has no vision")
    try:
        turn = _read_turn(request, route)
    except InputImageError as error:
        if documented:
            raise
        raise ProviderFailure.of(400, error.message) from error
    reply = _decide(request, route, turn, digest)
    if reply.text is not None and request.max_tokens is not None and not reply.images:
        words = re.match(rf"(?:\s*\S+){{1,{request.max_tokens}}}", reply.text)
        if words and reply.text[words.end() :].strip():
            reply = replace(reply, text=words[0], finish_reason="length")
    if request.reasoning_effort and route.model.reasoning:
        count = len(turn.pictures)
        images = f" with {count} image{'s' if count > 1 else ''}" if count else ""
        about = f'The last message{images} reads "{_quoted(turn.text)}".'
        plan = f"At {request.reasoning_effort} effort, I {reply.plan}."
        reply = replace(reply, reasoning=f"{about} {plan}")
    return _with_usage(request, reply)


def respond_with_images(request: ChatRequest, route: Route) -> Reply:
    """The images for a request to the images endpoint; with input images, they are edited."""
    turn, options = _read_turn(request, route), request.body
    format_, count = str(options.get("output_format", "")), request.image_config.count or 1
    prompt = turn.text + f" as {format_}" * bool(format_)
    if options.get("background") == "transparent":
        prompt += ", background transparent"
    if turn.pictures:
        reply = Reply(images=edit_all(prompt, turn.pictures[:1], count))
    else:
        reply = Reply(images=generate_all(prompt, request.image_config))
    return _with_usage(request, reply)


def scripted(request: ChatRequest, script: MockReply, digest: str) -> Reply:
    """The reply that a test scripts."""
    called = _tool_calls(
        ((n, json.dumps(a, ensure_ascii=False)) for n, a in script.tool_calls), digest
    )
    finish = script.finish_reason or ("tool_calls" if called else "stop")
    reply = Reply(script.text, script.images, called, script.reasoning, finish, script.refusal)
    reply = replace(reply, annotations=script.annotations, fields=script.fields)
    reply = replace(reply, reported_usage=script.usage)
    return _with_usage(request, reply)


def empty_reply(request: ChatRequest) -> Reply:
    """The reply of a provider that failed before its first word."""
    return _with_usage(request, Reply(finish_reason=None))


def _with_usage(request: ChatRequest, reply: Reply) -> Reply:
    thought = len((reply.reasoning or "").split())
    made = len(reply.images) * TOKENS_PER_OUTPUT_IMAGE or len((reply.text or "").split())
    made += thought + sum(1 + len(call.arguments.split()) for call in reply.tool_calls)
    parts = list(request.parts)
    words = sum(len(part.text.split()) for part in parts if isinstance(part, TextPart))
    prompt = words + TOKENS_PER_INPUT_IMAGE * sum(map(_is_image, parts))
    return replace(reply, usage=Usage(prompt, made, prompt + made, thought))


def _is_image(part: object) -> bool:
    if isinstance(part, FilePart):
        return part.file.get("file_data", "")[:11].lower() == "data:image/"
    return isinstance(part, ImagePart)


def _is_own(route: Route) -> bool:
    """Whether the model is the mock's; the provider of others accepts anything."""
    return route.provider == MOCK


def _read_turn(request: ChatRequest, route: Route) -> _Turn:
    """Open every image, and keep those that matter.

    One bad image fails a request; a lenient model continues as long as one image opens
    (Vision Support page, "Per-model Handling").
    """
    messages = request.messages
    lenient = route.model.lenient or not _is_own(route)
    start = len(messages)
    while start and _is_result(messages[start - 1]):
        start -= 1
    results = tuple(m.text for m in messages[start:] if m.role in _TOOL_ROLES)
    if not results:
        start = len(messages)
        while start and messages[start - 1].role == "user":
            start -= 1
    opener = Opener()
    pictures: list[Picture] = []
    files: list[Attachment] = []
    failures: list[ApiError] = []
    earlier = None
    for index, message in enumerate(messages):
        for opened in _open(message, index, opener, failures if lenient else None):
            if isinstance(opened, Attachment):
                files += [opened] if index >= start else []
            elif index >= start:
                pictures.append(opened)
            else:
                earlier = opened
    if failures and not pictures and earlier is None and _is_own(route):
        raise failures[0]
    left_out = tuple(f"Left out {failure.param}: {failure.message}." for failure in failures)
    texts = (m.text for m in reversed(messages) if m.role == "user" and m.text.strip())
    return _Turn(next(texts, ""), tuple(pictures), tuple(files), earlier, results or None, left_out)


def _open(
    message: Message, index: int, opener: Opener, failures: list[ApiError] | None
) -> Iterator[Picture | Attachment]:
    """What is in a message; what does not open joins `failures`, or raises without them."""
    for number, part in enumerate(message.parts):
        where = f"messages[{index}].content[{number}]"
        try:
            if isinstance(part, ImagePart):
                yield opener.image(part.url, where)
            elif isinstance(part, FilePart):
                yield opener.file(part.file, where)
        except ApiError as failure:
            if failures is None:
                raise
            failures.append(failure)


def _is_result(message: Message) -> bool:
    """Whether a tool sent it; its images may follow in a user message without text."""
    return message.role in _TOOL_ROLES or (message.role == "user" and not message.text.strip())


def _decide(request: ChatRequest, route: Route, turn: _Turn, digest: str) -> Reply:
    model, text = route.model, turn.text[:_MAX_READ]
    if intent.wants_refusal(text):
        is_safety = not model.text
        refusal = None if is_safety else "I can't help with that."
        reason = "image_safety" if is_safety else "stop"
        return Reply(finish_reason=reason, refusal=refusal, plan="refuse")
    if not model.text:
        return _edit(text, turn.pictures) if turn.pictures else _generate(text, request)
    if model.tools and (turn.results is None or request.demands_tool):
        called = _tool_calls(calls(request, turn.text, measurements(turn.pictures)), digest)
        if called:
            return Reply(tool_calls=called, finish_reason="tool_calls", plan="call a tool")
    if wants_json(request):
        found = [*(turn.results or ()), *turn.sentences()]
        values = Values.of(turn.text, found, measurements(turn.pictures))
        return Reply(json_reply(request, values), plan="answer in JSON")
    if turn.results is not None:
        returned = " ".join(filter(None, turn.results))
        returned = f"The tool returned: {returned}" if returned else ""
        report = " ".join(filter(None, [returned, *turn.sentences()]))
        report = report or "The tool returned nothing."
        return Reply(report, plan="report what the tool returned")
    reply = _decide_on_images(request, route, turn, text) or _talk(request, route, turn)
    return _with_search(reply, turn) if "web_search" in request.server_tools else reply


def _with_search(reply: Reply, turn: _Turn) -> Reply:
    """The reply with a page that was not searched for, and a citation of it."""
    before = f"{reply.text} " if reply.text else ""
    found = f'A search for "{_quoted(turn.text)}" found a page of the mock.'
    page = {"url": "https://example.com/emby-mock", "title": "A page of the mock"}
    span = {"start_index": len(before), "end_index": len(before + found)}
    citation = {"type": "url_citation", "url_citation": page | span}
    return replace(reply, text=before + found, annotations=(citation,), plan="search the web")


def _decide_on_images(request: ChatRequest, route: Route, turn: _Turn, text: str) -> Reply | None:
    is_question, can_generate = intent.is_question(text), route.model.image_output
    if turn.pictures:
        if can_generate and not is_question:
            return _edit(text, turn.pictures)
        return Reply(" ".join(turn.sentences()), plan="describe the images")
    if turn.earlier is not None and not intent.wants_new_image(text):
        refers_back = intent.refers_back(text)
        if can_generate and not is_question and (refers_back or names_an_edit(text)):
            return _edit(text, (turn.earlier,))
        if is_question and refers_back:
            return Reply(describe([measure(turn.earlier)])[0], plan="describe the earlier image")
    # A system prompt may make every prompt one for an image: "Generate an image of ...".
    if can_generate and any(map(intent.wants_image, (text, _system_prompt(request)))):
        return _generate(text, request)
    return None


def _generate(prompt: str, request: ChatRequest) -> Reply:
    images = generate_all(prompt, request.image_config)
    return Reply(_sentence(len(images)), images, plan="generate images")


def _edit(instruction: str, pictures: tuple[Picture, ...]) -> Reply:
    images = edit_all(instruction, pictures)
    return Reply(_sentence(len(images)), images, plan="edit the images")


def _sentence(count: int) -> str:
    """The documented sentence (Image generation page, Response Format), and its plural."""
    if count == 1:
        return "Here is your generated image:"
    return f"Here are your {count} generated images:"


def _tool_calls(
    named: Iterator[tuple[str, str]] | list[tuple[str, str]], digest: str
) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(f"call_{digest}_{i}", *call) for i, call in enumerate(named))


def _system_prompt(request: ChatRequest) -> str:
    return " ".join(m.text for m in request.messages if m.role in SYSTEM_ROLES)[:_MAX_READ]


def _talk(request: ChatRequest, route: Route, turn: _Turn) -> Reply:
    prompt = _quoted(turn.text)
    if _ASKS_FOR_MODELS.search(turn.text[:_MAX_READ]):
        models = ", ".join(model.id for model in models_of("emby"))
        text = f"This is emby-mock, a local stand-in for Emby. It answers as {models}."
        return Reply(f'{text} You asked: "{prompt}"', plan="list the models")
    name = route.requested[:_QUOTED]
    sentences = [f'This is emby-mock answering as {name}. You said: "{prompt}"']
    system = _system_prompt(request)
    if system:
        sentences.append(f'The system prompt says: "{_quoted(system)}"')
    earlier = sum(message.role in ("user", "assistant") for message in request.messages) - 1
    if earlier > 0:
        sentences.append(f"Before that came {earlier} message{'s' if earlier > 1 else ''}.")
    sentences += turn.sentences()
    if intent.wants_image(turn.text[:_MAX_READ]):
        sentences.append("This model does not make images.")
    return Reply(" ".join(sentences), plan="answer in words")


def _quoted(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"
