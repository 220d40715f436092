"""`EmbyImageTool`: an agent on any chat model draws with Emby.

It says which settings are asked and what came of it; `ChatEmby` does the asking.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.tools import ArgsSchema, BaseTool, InjectedToolArg, ToolException
from langchain_core.utils import get_pydantic_field_names
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    PlainSerializer,
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
from langchain_emby._blocks import image_block
from langchain_emby._display import reply_of
from langchain_emby._image_ids import LATEST, find_images, image_id, messages_in
from langchain_emby.chat_models import ChatEmby

# LangChain dumps a tool's arguments only to see their names; the whole state is too much for that.
_Injected = Annotated[Any, InjectedToolArg, PlainSerializer(lambda _: None)]
_Ids = Annotated[
    list[str],
    BeforeValidator(lambda given: [given] if isinstance(given, str) else given or []),
]
# A model can't mend these, and the person who runs it must hear of them.
_FOR_THE_OPERATOR = (
    ConfigurationError,
    AuthenticationError,
    PermissionDeniedError,
    BillingError,
    NotFoundError,
    NoSuchModelError,
)
# LangGraph's word for a call whose tokens are not the agent's own.
_CONFIG: Any = {"tags": ["nostream"], "run_name": "EmbyImageTool"}

Content = list[str | dict[str, Any]]


class ImageToolInput(BaseModel):
    """What a model says to draw, and the conversation, which is handed in beside it."""

    prompt: str = Field(description="What to draw, or what to change in the given images.")
    images: _Ids = Field(
        default=[],
        description=(
            "Ids of images of this conversation to change or to combine, such as image_3f9a2c1b, "
            f"as this tool stated them; {LATEST} means those of the last message with images, "
            "the user's messages included. Leave it out to draw a new image."
        ),
    )
    aspect_ratio: str | None = Field(
        default=None, description="Width to height of the image, such as 16:9."
    )
    messages: _Injected = ()
    # LangGraph fills an argument of this name with the state of the graph.
    runtime: _Injected = None


class EmbyImageTool(BaseTool):
    """A tool with which an agent on any chat model generates and edits images.

    Setup:
        As for `ChatEmby`: `EMBY_API_KEY`, or `base_url="mock:"`.

    Key init args:
        model, api_key, base_url, timeout, deadline, max_retries, image_config, plugins, ...:
            the settings of the `ChatEmby` that draws; or that itself, as `chat`.
        show_images: whether the agent's model gets to see the image. Set it to False for a model
            without vision, which would refuse it; it still reads the image's id.

    Instantiate:
            from langchain.agents import create_agent
            from langchain_emby import EmbyImageTool

            agent = create_agent(any_chat_model, tools=[EmbyImageTool()])

    The model gives a prompt and, to edit, the ids of images. An id (`image_id`) is made of the
    image's bytes; the tool states it beside each image it makes. Images are looked up in the
    messages of the graph's state, the user's own among them, so they survive checkpoints and
    turns. Outside LangGraph give the messages yourself:

            tool.invoke({**call, "args": {**call["args"], "messages": messages}})

    A call with a `ToolCall` returns a `ToolMessage`: its content is a text with the ids and an
    image block for each image, its artifact the list of `Image`s. `images_of(message)` gives
    these, out of a checkpoint too, where an artifact comes back as plain data.

    What a model can act on (an unknown id, a refusal, an overloaded gateway) becomes an error
    message of the tool. A missing or refused key, missing credit or an unknown model is raised.
    """

    name: str = "generate_image"
    description: str = (
        "Generate an image from a description, or edit images of this conversation. "
        "Returns the image and its id."
    )
    args_schema: Annotated[ArgsSchema | None, SkipValidation()] = ImageToolInput
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    handle_tool_error: Any = True
    handle_validation_error: Any = Field(default_factory=lambda: _what_is_wrong)
    chat: ChatEmby
    show_images: bool = True

    @model_validator(mode="before")
    @classmethod
    def _settings_of_the_chat(cls, values: dict[str, Any]) -> dict[str, Any]:
        own = get_pydantic_field_names(cls)
        settings = {name: value for name, value in values.items() if name not in own}
        if "chat" not in values:
            return {**{k: v for k, v in values.items() if k in own}, "chat": ChatEmby(**settings)}
        if settings:
            msg = f"{', '.join(sorted(settings))}: set it on the chat that EmbyImageTool is given."
            raise ValueError(msg)
        return values

    def _run(
        self,
        prompt: str,
        images: Sequence[str] = (),
        aspect_ratio: str | None = None,
        messages: Annotated[Any, InjectedToolArg] = (),
        runtime: Annotated[Any, InjectedToolArg] = None,
    ) -> tuple[Content, list[Image]]:
        try:
            request = _request(prompt, images, (messages, runtime))
            reply = self.chat.invoke(request, _CONFIG, **self._options(aspect_ratio))
            return self._result(reply_of(reply))
        except EmbyError as error:
            return self._rescued(error)

    async def _arun(
        self,
        prompt: str,
        images: Sequence[str] = (),
        aspect_ratio: str | None = None,
        messages: Annotated[Any, InjectedToolArg] = (),
        runtime: Annotated[Any, InjectedToolArg] = None,
    ) -> tuple[Content, list[Image]]:
        try:
            request = _request(prompt, images, (messages, runtime))
            reply: AIMessage = await self.chat.ainvoke(
                request, _CONFIG, **self._options(aspect_ratio)
            )
            return self._result(reply_of(reply))
        except EmbyError as error:
            return self._rescued(error)

    def _options(self, aspect_ratio: str | None) -> dict[str, Any]:
        # Inside a streamed agent LangChain streams every model, and the 2025-11 state of the
        # gateway drops streamed images of more than about 7.8 MB.
        options: dict[str, Any] = {"stream": False}
        if aspect_ratio:
            config = self.chat.image_config or {}
            options["image_config"] = {**config, "aspect_ratio": aspect_ratio}
        return options

    def _result(self, reply: ChatReply, problem: str = "") -> tuple[Content, list[Image]]:
        images = [*reply.require_images()]
        told = [f"{image_id(image)}: {_measures(image)}" for image in images]
        lines = [*told, reply.text, problem or reply.notice]
        text = {"type": "text", "text": "\n".join(line for line in lines if line)}
        shown = [image_block(image) for image in images] if self.show_images else []
        return [text, *shown], images

    def _rescued(self, error: EmbyError) -> tuple[Content, list[Image]]:
        """The images that had arrived before the error: they are paid for. Else it is raised."""
        if isinstance(error, _FOR_THE_OPERATOR):
            raise error
        if error.partial is not None and error.partial.images:
            return self._result(error.partial, f"Then it broke off: {error}")
        again = " The same call may succeed later." if error.is_retryable else ""
        raise ToolException(f"{error}{again}") from error


def _request(prompt: str, ids: Sequence[str], places: tuple[Any, Any]) -> list[BaseMessage]:
    """What the painter is told: the prompt, and before it the images it speaks of."""
    messages, runtime = places
    known = [*messages_in(getattr(runtime, "state", None)), *messages_in(messages)]
    blocks = [image_block(image) for image in find_images(ids, known)]
    # Models that also talk answer a bare description with more words.
    if not blocks:
        return [HumanMessage(f"Generate an image: {prompt}")]
    what = "this image" if len(blocks) == 1 else "these images"
    return [HumanMessage([*blocks, {"type": "text", "text": f"Edit {what}: {prompt}"}])]


def _measures(image: Image) -> str:
    if image.url is not None:
        return f"at {image.url}"
    try:
        width, height = image.size
    except EmbyError:
        return str(image.media_type)
    return f"{image.media_type}, {width} x {height} pixels"


def _what_is_wrong(error: Any) -> str:
    """A model's wrong arguments, in words that it can act on."""
    found = error.errors() if isinstance(error, ValidationError) else []
    told = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found]
    return f"The arguments are wrong. {'; '.join(told) or error}"
