"""`ImagesOutputParser`: ends a chain with images instead of messages."""

from collections.abc import AsyncIterator, Iterator

from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import BaseTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation

from emby_plugins import Image
from langchain_emby._blocks import images_of
from langchain_emby._errors import translate_errors


class ImagesOutputParser(BaseTransformOutputParser[list[Image]]):
    """Turns a message, or a stream of its chunks, into `Image`s.

    Instantiate:
            chain = ChatEmby() | ImagesOutputParser()

    Invoke:
            images = chain.invoke("Generate an image of a puppy in a meadow")

    Stream:
            for images in chain.stream("Generate two images of a puppy"):
                ...

        Each item is a list of newly arrived images; joined, they equal the result of `invoke`.

    The list is empty for a message without images. Raises `InvalidImageError` for an image that
    does not decode. Accepts messages of other chat models and tool messages too.
    """

    image_dir: str | None = None
    """The folder of images that messages refer to; by default those of all `ChatEmby`s."""

    @property
    def _type(self) -> str:
        return "emby_images"

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """True, so chains that end with it can be serialized."""
        return True

    def parse_result(
        self,
        result: list[Generation],
        *,
        partial: bool = False,  # noqa: ARG002 - LangChain's
    ) -> list[Image]:
        """The images of a model's reply."""
        message = result[0].message if isinstance(result[0], ChatGeneration) else None
        return [] if message is None else self._images(message)

    def parse(self, text: str) -> list[Image]:  # noqa: ARG002 - LangChain's
        """Always empty, because text has no images."""
        return []

    def _transform(self, input: Iterator[str | BaseMessage]) -> Iterator[list[Image]]:  # noqa: A002
        for chunk in input:
            if not isinstance(chunk, str) and (images := self._images(chunk)):
                yield images

    async def _atransform(
        self,
        input: AsyncIterator[str | BaseMessage],  # noqa: A002
    ) -> AsyncIterator[list[Image]]:
        async for chunk in input:
            if not isinstance(chunk, str) and (images := self._images(chunk)):
                yield images

    def _images(self, message: BaseMessage) -> list[Image]:
        with translate_errors():
            return images_of(message, image_dir=self.image_dir)
