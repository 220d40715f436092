"""`EmbyImageTool`: generates and edits images with Emby for an agent on any chat model."""

import warnings
from collections.abc import Hashable, Sequence
from contextlib import nullcontext
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated, Any, Literal, Unpack

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import ArgsSchema, BaseTool, InjectedToolArg, ToolException
from langchain_core.utils import get_pydantic_field_names
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    PlainSerializer,
    PrivateAttr,
    SkipValidation,
    ValidationError,
    model_validator,
)

from emby_plugins import (
    AuthenticationError,
    BillingError,
    ChatReply,
    ConfigurationError,
    EmbyError,
    Image,
    ModelNotFoundError as NoSuchModelError,
    NotFoundError,
    PermissionDeniedError,
)
from langchain_emby._blocks import image_block, image_id, to_artifact
from langchain_emby._budget import Budget
from langchain_emby._display import to_reply
from langchain_emby._image_ids import LATEST, find_images, find_messages
from langchain_emby.chat_models import ChatEmby

if TYPE_CHECKING:
    from langchain_emby._arguments import ImageToolArguments

# LangChain dumps a tool's arguments only for their names; serializing the whole state is wasteful.
_Injected = Annotated[Any, InjectedToolArg, PlainSerializer(lambda _: None)]
_Ids = Annotated[
    list[str],
    BeforeValidator(lambda given: [given] if isinstance(given, str) else given or []),
]
# The model can't fix these, so they are raised to whoever runs the agent.
_RAISED_ERRORS = (
    ConfigurationError,
    AuthenticationError,
    PermissionDeniedError,
    BillingError,
    NotFoundError,
    NoSuchModelError,
)
# LangGraph's tag for a call with tokens outside the agent's own stream.
_CONFIG: Any = {"tags": ["nostream"], "run_name": "EmbyImageTool"}

Content = list[str | dict[str, Any]]
Artifact = list[dict[str, Any]]


class ImageToolInput(BaseModel):
    """The arguments of the model, and the injected conversation."""

    prompt: str = Field(
        description="Description of the image, or of the change to the given images."
    )
    images: _Ids = Field(
        default=[],
        description=(
            "Ids of images in this conversation to edit or combine, such as image_3f9a2c1b, "
            f"as stated by this tool; {LATEST} means the images of the last message that has any, "
            "including the user's. Leave empty to generate a new image."
        ),
    )
    aspect_ratio: str | None = Field(
        default=None, description="Aspect ratio (width:height) of the image, such as 16:9."
    )
    messages: _Injected = ()
    # LangGraph fills an argument of this name with the state of the graph.
    runtime: _Injected = None


class EmbyImageTool(BaseTool):
    """A tool for agents on any chat model that generates and edits images.

    Setup:
        As for `ChatEmby`: `EMBY_API_KEY`, or `base_url="mock:"`.

    Key init args:
        model, api_key, base_url, timeout, deadline, max_retries, image_config, plugins, ...:
            the settings of the `ChatEmby` that generates; or pass a `ChatEmby` as `chat`.
        show_images: whether the agent's model sees the image. Set it to False for a model without
            vision, which would reject it; the model still reads the image's id.

        max_calls: how often a run may call the tool (10), counted from the user's last message;
            None for no limit. Every call of an agent that loops is paid for.
        max_cost: how many US dollars a run may spend with the tool, None for no limit. The call
            after which they are spent is the last. Costs are the gateway's, or else estimates
            from the prices of the stored model list (`llm emby refresh`).

    Instantiate:
            from langchain.agents import create_agent
            from langchain_emby import EmbyImageTool

            agent = create_agent(any_chat_model, tools=[EmbyImageTool()])

    The model passes a prompt and, to edit, the ids of images. An id (`image_id`) is derived from
    the image's bytes; the tool states it with each image it generates. Images are looked up in the
    messages of the graph's state, including the user's, so they survive checkpoints and turns.
    Outside LangGraph, pass the messages yourself:

            tool.invoke({**call, "args": {**call["args"], "messages": messages}})

    A call with a `ToolCall` returns a `ToolMessage`: its content is a text with the ids and an
    image block for each image, its artifact a list of image blocks with ids, digests and
    provenance. Both are JSON, so that every store of messages keeps the images.
    `images_of(message)` returns them as `Image`s.

    With `image_dir`, both name files of that folder instead, and images are found there by their
    ids after the messages that had them are gone, as after a summary. Give each tenant a folder of
    its own. An agent's model that is not a `ChatEmby` with this folder needs `show_images=False`,
    or `inline_images` on its way.

    Errors that the model can act on (an unknown id, a refusal, an overloaded gateway) become error
    messages of the tool. A missing or rejected key, missing credit and an unknown model are raised.
    """

    name: str = "generate_image"
    description: str = (
        "Generate an image from a description, or edit images of this conversation. "
        "Returns the image and its id."
    )
    args_schema: Annotated[ArgsSchema | None, SkipValidation()] = ImageToolInput
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    handle_tool_error: Any = True
    handle_validation_error: Any = Field(default_factory=lambda: _argument_error)
    chat: ChatEmby
    show_images: bool = True
    max_calls: int | None = 10
    max_cost: float | None = None

    _budget: Budget = PrivateAttr(default_factory=Budget)

    if TYPE_CHECKING:

        def __init__(self, **arguments: Unpack[ImageToolArguments]) -> None: ...

    @model_validator(mode="before")
    @classmethod
    def _create_chat(cls, values: dict[str, Any]) -> dict[str, Any]:
        own = get_pydantic_field_names(cls)
        settings = {name: value for name, value in values.items() if name not in own}
        if "chat" not in values:
            return {**{k: v for k, v in values.items() if k in own}, "chat": ChatEmby(**settings)}
        if settings:
            msg = f"{', '.join(sorted(settings))}: set it on the ChatEmby passed as chat=."
            raise ValueError(msg)
        return values

    def _run(
        self,
        prompt: str,
        images: Sequence[str] = (),
        aspect_ratio: str | None = None,
        messages: Annotated[Any, InjectedToolArg] = (),
        runtime: Annotated[Any, InjectedToolArg] = None,
    ) -> tuple[Content, Artifact]:
        known = _known_messages(messages, runtime)
        run = self._run_of(known, runtime)
        with self._budget.turn(run) if run else nullcontext():
            try:
                request = self._request(prompt, images, known, runtime)
                reply = self.chat.invoke(request, _CONFIG, **self._options(aspect_ratio))
                return self._finish(run, to_reply(reply))
            except EmbyError as error:
                return self._recover(run, error)

    async def _arun(
        self,
        prompt: str,
        images: Sequence[str] = (),
        aspect_ratio: str | None = None,
        messages: Annotated[Any, InjectedToolArg] = (),
        runtime: Annotated[Any, InjectedToolArg] = None,
    ) -> tuple[Content, Artifact]:
        known = _known_messages(messages, runtime)
        run = self._run_of(known, runtime)
        async with self._budget.async_turn(run) if run else nullcontext():
            try:
                request = self._request(prompt, images, known, runtime)
                reply: AIMessage = await self.chat.ainvoke(
                    request, _CONFIG, **self._options(aspect_ratio)
                )
                return self._finish(run, to_reply(reply))
            except EmbyError as error:
                return self._recover(run, error)

    def _run_of(self, known: Sequence[BaseMessage], runtime: Any) -> Hashable:
        """The run that a call belongs to, if it has a budget: its thread and the user's message."""
        asked = [message for message in known if message.type == "human"]
        if self.max_cost is None or not asked:
            return None
        config = getattr(runtime, "config", None) or {}
        thread = config.get("configurable", {}).get("thread_id")
        return thread, asked[-1].id or (len(asked), asked[-1].text)

    def _pay(self, run: Hashable, reply: ChatReply | None) -> None:
        if run and reply and not self._budget.add(run, reply.usage) and reply.images:
            warnings.warn(
                f"max_cost does not count a call of {self.name}: the gateway did not state what "
                "it cost, and the prices of the model are unknown. Run 'llm emby refresh'.",
                stacklevel=2,
            )

    def _request(
        self, prompt: str, ids: Sequence[str], known: Sequence[BaseMessage], runtime: Any
    ) -> list[BaseMessage]:
        call_id = getattr(runtime, "tool_call_id", None)
        if self.max_calls is not None and _count_calls(known, self.name, call_id) > self.max_calls:
            raise ToolException(
                f"The limit of {self.max_calls} calls of {self.name} is reached. Do not call it "
                "again: answer with the images that there are."
            )
        spent, is_estimate = self._budget.spent(self._run_of(known, runtime))
        if self.max_cost is not None and spent >= self.max_cost:
            about = "an estimated " if is_estimate else ""
            raise ToolException(
                f"The budget of ${self.max_cost:g} for {self.name} is spent ({about}${spent:.4g} "
                "so far). Do not call it again: answer with the images that there are."
            )
        return _to_request(prompt, ids, known, self.chat.image_dir)

    def _options(self, aspect_ratio: str | None) -> dict[str, Any]:
        # Inside a streamed agent LangChain streams every model, and the 2025-11 state of the
        # gateway drops streamed images of more than about 7.8 MB.
        options: dict[str, Any] = {"stream": False, "endpoint": "auto"}
        if aspect_ratio:
            config = self.chat.image_config or {}
            options["image_config"] = {**config, "aspect_ratio": aspect_ratio}
        return options

    def _finish(self, run: Hashable, reply: ChatReply) -> tuple[Content, Artifact]:
        if reply.images:  # otherwise the error that `_result` raises has the reply
            self._pay(run, reply)
        return self._result(reply)

    def _result(self, reply: ChatReply, problem: str = "") -> tuple[Content, Artifact]:
        images = [*reply.require_images()]
        descriptions = [f"{image_id(image)}: {_describe(image)}" for image in images]
        lines = [*descriptions, reply.text, problem or reply.notice]
        text = {"type": "text", "text": "\n".join(line for line in lines if line)}
        folder = self.chat.image_dir
        blocks = [image_block(image, image_dir=folder) for image in images]
        return [text, *(blocks if self.show_images else [])], to_artifact(images, folder)

    def _recover(self, run: Hashable, error: EmbyError) -> tuple[Content, Artifact]:
        """The images that arrived before the error, which are paid for; otherwise raise it."""
        self._pay(run, error.partial)
        if isinstance(error, _RAISED_ERRORS):
            raise error
        if error.partial is not None and error.partial.images:
            return self._result(error.partial, f"The reply then failed: {error}")
        again = " The same call may succeed later." if error.is_retryable else ""
        raise ToolException(f"{error}{again}") from error


def _known_messages(messages: Any, runtime: Any) -> list[BaseMessage]:
    """The messages of the graph's state, and those that were passed."""
    return [*find_messages(getattr(runtime, "state", None)), *find_messages(messages)]


def _to_request(
    prompt: str, ids: Sequence[str], known: Sequence[BaseMessage], image_dir: str | None
) -> list[BaseMessage]:
    """The messages for the image model: the referenced images, then the prompt."""
    images = find_images(ids, known, image_dir)
    blocks = [image_block(image, image_dir=image_dir) for image in images]
    # Models that also chat reply to a bare description with text.
    if not blocks:
        return [HumanMessage(f"Generate an image: {prompt}")]
    what = "this image" if len(blocks) == 1 else "these images"
    return [HumanMessage([*blocks, {"type": "text", "text": f"Edit {what}: {prompt}"}])]


def _count_calls(messages: Sequence[BaseMessage], name: str, call_id: str | None) -> int:
    """How many calls of a tool the run has made, this one included.

    A run begins with the user's last message. Of several calls in one message, each counts those
    before it, so that they stay within the limit together.
    """
    run = list(takewhile(lambda message: message.type != "human", reversed(messages)))[::-1]
    ids = [
        call["id"]
        for message in run
        if isinstance(message, AIMessage)
        for call in message.tool_calls
        if call["name"] == name
    ]
    if call_id in ids:
        # Its last occurrence: some models number the calls of each message from the start.
        return len(ids) - ids[::-1].index(call_id)
    answered = {message.tool_call_id for message in run if isinstance(message, ToolMessage)}
    return len(answered & {*ids}) + 1


def _describe(image: Image) -> str:
    if image.url is not None:
        return f"at {image.url}"
    try:
        width, height = image.size
    except EmbyError:
        return str(image.media_type)
    return f"{image.media_type}, {width} x {height} pixels"


def _argument_error(error: Any) -> str:
    """A validation error as a message that the model can act on."""
    found = error.errors() if isinstance(error, ValidationError) else []
    messages = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found]
    return f"Invalid arguments: {'; '.join(messages) or error}"
