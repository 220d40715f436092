"""`ModelCard`: what a model can do; and the models that are known without asking.

Imports nothing heavy: a host reads the catalogue at every start.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One model of the gateway's list, and what it can do.

    `pricing` holds decimal strings, US dollars for a token (`prompt`, `completion`), an image
    or a request. `context_length` and `max_output` are tokens, None where nobody says.
    Vision Support page, "Vision-Enabled Models": `vision` is what `"vision": true` means.
    """

    id: str
    name: str = ""
    family: str = ""
    description: str = ""
    aliases: tuple[str, ...] = ()
    vision: bool = False
    image_output: bool = False
    tools: bool = False
    reasoning: bool = False
    structured_output: bool = False
    context_length: int | None = None
    max_output: int | None = None
    pricing: Mapping[str, str] = field(default_factory=dict)
    created: int | None = None
    deprecated_at: str = ""
    deactivated_at: str = ""


def _documented(model_id: str, family: str) -> ModelCard:
    # Emby's pages promise vision and image output; of tools and the like they say nothing, and
    # then it is for the gateway to refuse, not for us.
    return ModelCard(
        id=model_id,
        name=model_id,
        family=family,
        vision=True,
        image_output=True,
        tools=True,
        reasoning=True,
        structured_output=True,
    )


DOCUMENTED_MODELS = (
    _documented("qwen2.5-vision", "qwen"),
    _documented("qwen2.5-vl", "qwen"),
    _documented("glm-vision", "glm"),
    _documented("deepseek-vision", "deepseek"),
)
"""The models that Emby's pages name: Image Generation page, "Available Models"."""

MOCK_MODELS = (
    ModelCard(
        id="emby-mock",
        name="Emby mock",
        family="emby-mock",
        vision=True,
        image_output=True,
        tools=True,
        reasoning=True,
        structured_output=True,
    ),
    ModelCard(
        id="emby-mock-text",
        name="Emby mock, text only",
        family="emby-mock",
        tools=True,
        structured_output=True,
    ),
    ModelCard(
        id="emby-mock-vision",
        name="Emby mock that looks and never paints",
        family="emby-mock",
        vision=True,
        tools=True,
        reasoning=True,
        structured_output=True,
    ),
    ModelCard(
        id="emby-mock-image",
        name="Emby mock that only makes images",
        family="emby-mock",
        vision=True,
        image_output=True,
    ),
)
"""The models of the mock backend, which no gateway serves."""
