"""Decides what to do with a request - look, paint, edit, call, fill in JSON, talk - and does it.

The result is an Answer: what is said. How it is said, `wire.py` knows.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from emby_plugins.mock import prompts
from emby_plugins.mock.describe import describe, describe_file, measure
from emby_plugins.mock.edit import edit, names_an_edit
from emby_plugins.mock.errors import ApiError, InputImageError, ProviderFailure
from emby_plugins.mock.generate import generate
from emby_plugins.mock.image_files import Attachment, Opener, Picture, encode
from emby_plugins.mock.jsonmode import json_reply
from emby_plugins.mock.models import MOCK, Route, models_of
from emby_plugins.mock.requests import (
    MAX_IMAGES,
    SYSTEM_ROLES,
    ChatRequest,
    FilePart,
    ImageConfig,
    ImagePart,
    Message,
    TextPart,
)
from emby_plugins.mock.script import MockReply
from emby_plugins.mock.tools import calls
from emby_plugins.mock.words import read_words, with_facts

TOKENS_PER_INPUT_IMAGE = 258
TOKENS_PER_OUTPUT_IMAGE = 1290

_SIDE = 256
_QUOTED = 200
_READ = 10_000
_TOOL_ROLES = ("tool", "function")


@dataclass(frozen=True, slots=True)
class OutputImage:
    """A generated image: the bytes of its file, or the address it is left at."""

    media_type: str
    data: bytes
    url: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a function; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What the reply cost. The mock's token is a word between spaces; images have fixed prices.

    `reported` is what a scripted provider says of it instead; an empty one says nothing.
    """

    prompt: int
    completion: int
    reasoning: int = 0
    reported: Mapping[str, object] | None = None


_FREE = Usage(0, 0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said in reply, in no wire's form."""

    text: str | None
    usage: Usage
    images: tuple[OutputImage, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str | None = None
    finish_reason: str | None = "stop"
    refusal: str | None = None
    annotations: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class _Turn:
    """What there is to answer: the messages since the assistant spoke last, opened."""

    text: str
    pictures: tuple[Picture, ...]
    files: tuple[Attachment, ...]
    earlier: Picture | None
    results: tuple[str, ...] | None
    left_out: tuple[str, ...] = ()

    def facts(self) -> list[str]:
        """A sentence about everything that was sent along."""
        measured = [measure(picture) for picture in self.pictures]
        told = describe(measured) if measured else []
        return [*told, *(describe_file(file) for file in self.files), *self.left_out]


@dataclass(frozen=True, slots=True)
class _Reply:
    """What was decided, before the price and the limits."""

    plan: str
    text: str | None = None
    images: tuple[OutputImage, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()


def answer(request: ChatRequest, route: Route, digest: str, *, documented: bool) -> Answer:
    """The answer to a request; `digest` names its calls.

    Raises ProviderFailure for what the provider refuses; where it is `documented`, a bad image
    stays the InputImageError that it is.
    """
    _refuse_images_without_vision(request, route)
    try:
        turn = _read_turn(request, route)
    except InputImageError as error:
        if documented:
            raise
        raise ProviderFailure.saying(400, error.message) from error
    reply = _decide(request, route, turn, digest)
    text, finish = reply.text, "tool_calls" if reply.tool_calls else "stop"
    if text is not None and request.max_tokens is not None and not reply.images:
        cut = _first_words(text, request.max_tokens)
        finish = finish if cut == text else "length"
        text = cut
    reasoning = _reasoning(request, route, reply.plan, turn)
    return _priced(request, Answer(text, _FREE, reply.images, reply.tool_calls, reasoning, finish))


def scripted(request: ChatRequest, reply: MockReply, digest: str) -> Answer:
    """The answer that a test wants to a request."""
    images = tuple(
        OutputImage("", b"", image.url)
        if image.content is None
        else OutputImage(image.media_type or "", image.content)
        for image in reply.images
    )
    named = tuple(
        ToolCall(f"call_{digest}_{at}", name, json.dumps(arguments, ensure_ascii=False))
        for at, (name, arguments) in enumerate(reply.tool_calls)
    )
    finish = reply.finish_reason or ("tool_calls" if named else "stop")
    said = Answer(reply.text, _FREE, images, named, reply.reasoning, finish)
    said = replace(said, refusal=reply.refusal, annotations=reply.annotations)
    priced = _priced(request, said)
    return replace(priced, usage=replace(priced.usage, reported=reply.usage))


def nothing(request: ChatRequest) -> Answer:
    """What a provider said that died before its first word."""
    return _priced(request, Answer(None, _FREE, finish_reason=None))


def _priced(request: ChatRequest, said: Answer) -> Answer:
    thought = len((said.reasoning or "").split())
    spoken = len(said.images) * TOKENS_PER_OUTPUT_IMAGE or len((said.text or "").split())
    spoken += sum(1 + len(call.arguments.split()) for call in said.tool_calls)
    return replace(said, usage=Usage(_prompt_tokens(request), spoken + thought, thought))


def _refuse_images_without_vision(request: ChatRequest, route: Route) -> None:
    # The gateways let every image pass: it is the provider that refuses it.
    if _is_ours(route) and not route.model.vision and any(map(_is_image, request.parts)):
        raise ProviderFailure.saying(400, f"Model {route.model.id!r} has no vision")


def _is_image(part: object) -> bool:
    if isinstance(part, FilePart):
        return part.data is not None and part.data[:11].lower() == "data:image/"
    return isinstance(part, ImagePart)


def _is_ours(route: Route) -> bool:
    """Whether the model is the mock's; others are played with a provider that takes anything."""
    return route.provider == MOCK


def _read_turn(request: ChatRequest, route: Route) -> _Turn:
    """Open every image, and keep those that matter.

    One bad image fails a request; a lenient model goes on as long as one image opens
    (Vision Support page, "Per-model Handling").
    """
    lenient = route.model.lenient or not _is_ours(route)
    messages = request.messages
    start = len(messages)
    while start and _is_result(messages[start - 1]):
        start -= 1
    from_tools = any(message.role in _TOOL_ROLES for message in messages[start:])
    if not from_tools:
        start = len(messages)
        while start and messages[start - 1].role == "user":
            start -= 1
    opener = Opener()
    pictures: list[Picture] = []
    files: list[Attachment] = []
    failures: list[ApiError] = []
    earlier = None
    for index, message in enumerate(messages):
        for seen in _open(message, opener, failures if lenient else None):
            if isinstance(seen, Attachment):
                files += [seen] if index >= start else []
            elif index >= start:
                pictures.append(seen)
            else:
                earlier = seen
    if failures and not pictures and earlier is None and _is_ours(route):
        raise failures[0]
    said = (message.text for message in messages[start:] if message.role in _TOOL_ROLES)
    results = tuple(said) if from_tools else None
    left_out = tuple(f"Left out {failure.param}: {failure.message}." for failure in failures)
    text = _last_user_text(messages)
    return _Turn(text, tuple(pictures), tuple(files), earlier, results, left_out)


def _open(
    message: Message, opener: Opener, failures: list[ApiError] | None
) -> Iterator[Picture | Attachment]:
    """What is in a message; what does not open joins `failures`, or raises where it is None."""
    for part in message.parts:
        try:
            if isinstance(part, ImagePart):
                yield opener.image(part)
            elif isinstance(part, FilePart):
                yield opener.file(part)
        except ApiError as failure:
            if failures is None:
                raise
            failures.append(failure)


def _is_result(message: Message) -> bool:
    """Whether it is what a tool returned; its images may follow as a user's without words."""
    return message.role in _TOOL_ROLES or (message.role == "user" and not message.text.strip())


def _last_user_text(messages: tuple[Message, ...]) -> str:
    said = (message.text for message in reversed(messages) if message.role == "user")
    return next((text for text in said if text.strip()), "")


def _decide(request: ChatRequest, route: Route, turn: _Turn, digest: str) -> _Reply:
    model = route.model
    if not model.text:
        if turn.pictures:
            return _edit(turn.text, turn.pictures)
        return _paint(turn.text, request.image_config)
    if model.tools and (turn.results is None or request.demands_tool):
        made = calls(request, turn.text)
        if made:
            named = (ToolCall(f"call_{digest}_{i}", *call) for i, call in enumerate(made))
            return _Reply("call a tool", tool_calls=tuple(named))
    if request.response_format != "text" and not model.only_makes_images:
        known = [*(turn.results or ()), *turn.facts()]
        words = with_facts(turn.text, known) if known else read_words(turn.text)
        return _Reply("answer in JSON", json_reply(request, words))
    if turn.results is not None:
        return _Reply("report what the tool returned", _report(turn))
    return _decide_on_pictures(request, route, turn) or _talk(request, route, turn)


def _decide_on_pictures(request: ChatRequest, route: Route, turn: _Turn) -> _Reply | None:
    text = turn.text[:_READ]
    question = prompts.is_question(text)
    able = route.model.image_output
    if turn.pictures:
        if able and not question:
            return _edit(text, turn.pictures)
        return _Reply("look at what was sent", " ".join(turn.facts()))
    if turn.earlier is not None and not prompts.makes_anew(text):
        back = prompts.refers_back(text)
        if able and not question and (back or names_an_edit(text)):
            return _edit(text, (turn.earlier,))
        if question and back:
            return _Reply("look at the earlier image", " ".join(describe([measure(turn.earlier)])))
    # A system prompt may make every prompt one for a picture: "Generate an image of ...".
    if able and any(map(prompts.asks_for_picture, (text, _system_prompt(request)))):
        return _paint(text, request.image_config)
    return None


def _paint(prompt: str, wish: ImageConfig) -> _Reply:
    prompt = prompt[:_READ]
    count = wish.count or prompts.count_of(prompt)
    kind = prompts.format_of(prompt)
    images = tuple(
        OutputImage(
            f"image/{kind.lower()}",
            encode(generate(prompt, _size(wish), variant=variant), kind, prompt, edited=False),
        )
        for variant in range(wish.seed * MAX_IMAGES, wish.seed * MAX_IMAGES + count)
    )
    return _Reply("paint", _sentence(count), images)


def _edit(instruction: str, pictures: tuple[Picture, ...]) -> _Reply:
    instruction = instruction[:_READ]
    kind = prompts.format_of(instruction)
    versions = 1 if names_an_edit(instruction) else prompts.count_of(instruction)
    versions = max(1, min(versions, MAX_IMAGES // len(pictures)))
    images = tuple(
        OutputImage(
            f"image/{kind.lower()}",
            encode(
                edit(picture.pixels, instruction, variant=variant), kind, instruction, edited=True
            ),
        )
        for picture in pictures
        for variant in range(versions)
    )
    return _Reply("edit", _sentence(len(images)), images)


def _size(wish: ImageConfig) -> tuple[int, int]:
    """The pixels of a painted image: about 256 x 256, unless a long side is wished for."""
    ratio = wish.ratio or 1.0
    if wish.long_side is None:
        return round(_SIDE * math.sqrt(ratio)), round(_SIDE / math.sqrt(ratio))
    long = wish.long_side
    return (long, round(long / ratio)) if ratio >= 1 else (round(long * ratio), long)


def _sentence(count: int) -> str:
    """The documented sentence (Image generation page, Response Format), and its plural."""
    if count == 1:
        return "Here is your generated image:"
    return f"Here are your {count} generated images:"


def _report(turn: _Turn) -> str:
    returned = " ".join(filter(None, turn.results or ()))
    told = [f"The tool returned: {returned}"] if returned else []
    return " ".join([*told, *turn.facts()]) or "The tool returned nothing."


def _system_prompt(request: ChatRequest) -> str:
    said = (message.text for message in request.messages if message.role in SYSTEM_ROLES)
    return " ".join(said)[:_READ]


def _talk(request: ChatRequest, route: Route, turn: _Turn) -> _Reply:
    said = _quoted(turn.text)
    if re.search(
        r"\b(?:what|which|list)\b[^.?!]{0,40}\bmodels\b", turn.text[:_READ], re.IGNORECASE
    ):
        listed = ", ".join(model.id for model in models_of("emby"))
        text = f"This is emby-mock, a local stand-in for Emby. It answers as {listed}."
        return _Reply("list the models", f'{text} You asked: "{said}"')
    sentences = [f'This is emby-mock answering as {route.asked[:_QUOTED]}. You said: "{said}"']
    system = _system_prompt(request)
    if system:
        sentences.append(f'The system prompt says: "{_quoted(system)}"')
    earlier = sum(message.role in ("user", "assistant") for message in request.messages) - 1
    if earlier > 0:
        sentences.append(f"Before that came {earlier} message{'s' if earlier > 1 else ''}.")
    sentences += turn.facts()
    if prompts.asks_for_picture(turn.text[:_READ]):
        sentences.append("This model does not make images.")
    return _Reply("answer in words", " ".join(sentences))


def _quoted(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"


def _reasoning(request: ChatRequest, route: Route, plan: str, turn: _Turn) -> str | None:
    effort = request.reasoning_effort
    if effort is None or not route.model.reasoning:
        return None
    sent = len(turn.pictures)
    along = f" with {sent} image{'s' if sent > 1 else ''}" if sent else ""
    return f'The last message{along} reads "{_quoted(turn.text)}". At {effort} effort, I {plan}.'


def _prompt_tokens(request: ChatRequest) -> int:
    parts = list(request.parts)
    words = sum(len(part.text.split()) for part in parts if isinstance(part, TextPart))
    return words + TOKENS_PER_INPUT_IMAGE * sum(map(_is_image, parts))


def _first_words(text: str, count: int) -> str:
    for number, match in enumerate(re.finditer(r"\S+", text), 1):
        if number == count:
            return text if not text[match.end() :].strip() else text[: match.end()]
    return text
