"""The models the mock answers as, and how they are listed (Vision page, Vision-Enabled Models)."""

import re
from dataclasses import dataclass

from emby_plugins.mock.errors import ApiError
from emby_plugins.mock.profiles import Profile

_CREATED = 1730000000
_CONTEXT = 131_072
_MAX_OUTPUT = 8_192


@dataclass(frozen=True, slots=True)
class Model:
    """What one model can do.

    `text` is false for a model that only makes images. A `lenient` one answers from the images
    that open when others do not (Vision Support page, "Per-model Handling").
    """

    id: str
    description: str
    text: bool = True
    vision: bool = True
    image_output: bool = True
    tools: bool = True
    reasoning: bool = True
    json: bool = True
    lenient: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """A model as it was asked for: `provider` is the prefix, when there was one."""

    asked: str
    provider: str | None
    model: Model


_DOCUMENTED = "Answers under a name of Emby's documentation; everything emby-mock does."

MODELS = (
    Model("emby-mock", "Looks at images, makes and edits them, calls tools, reasons and talks."),
    Model(
        "emby-mock-text",
        "Text and tools only: an image is refused.",
        vision=False,
        image_output=False,
        reasoning=False,
    ),
    Model(
        "emby-mock-vision",
        "Looks at images and never makes one; says which it had to leave out.",
        image_output=False,
        lenient=True,
    ),
    Model(
        "emby-mock-image",
        "Only makes images: every prompt is painted, every image edited.",
        text=False,
        tools=False,
        reasoning=False,
        json=False,
    ),
    Model("qwen2.5-vision", _DOCUMENTED),
    Model("qwen2.5-vl", _DOCUMENTED),
    Model("glm-vision", _DOCUMENTED),
    Model("deepseek-vision", _DOCUMENTED),
)

_BY_ID = {model.id: model for model in MODELS}
_PREFIXED = re.compile(r"([a-z]+)/(.+)", re.DOTALL)


def find_model(asked: str) -> Route:
    """The model meant by `name`, `emby/name`, or a custom provider's `company/name`."""
    match = _PREFIXED.fullmatch(asked)
    if match is None or match[1] == "emby":
        model = _BY_ID.get(match[2] if match else asked)
        if model is not None:
            return Route(asked, match[1] if match else None, model)
    else:
        custom = Model(match[2], "A custom provider's model.", image_output=False)
        return Route(asked, match[1], custom)
    raise ApiError(
        400,
        f"Model {asked[:200]!r} not found. GET /models lists the models.",
        param="model",
        code="model_not_found",
    )


def any_model(asked: str) -> Route:
    """A model of whatever name, for a reply that a test scripted."""
    try:
        return find_model(asked)
    except ApiError:
        return Route(asked, None, Model(asked, "A model that only a script knows."))


def list_models(profile: Profile) -> list[dict[str, object]]:
    """The `data` of GET /models: every field the profile knows, with play-money prices."""
    return [_card(model, profile) for model in MODELS]


def _card(model: Model, profile: Profile) -> dict[str, object]:
    parameters = ["temperature", "top_p", "max_tokens", "stream"]
    parameters += ["tools", "tool_choice"] if model.tools else []
    parameters += ["reasoning_effort"] if model.reasoning else []
    parameters += ["response_format"] if model.json else []
    parameters += ["image_config"] if model.image_output else []
    pricing = dict.fromkeys(("image", "request", "input_cache_read", "input_cache_write"), "0")
    pricing |= {
        "web_search": "0",
        "internal_reasoning": "0",
        "prompt": "1e-9",
        "completion": "1e-9",
    }
    outputs = (["text"] if model.text else []) + (["image"] if model.image_output else [])
    return {
        "id": model.id,
        "name": f"{model.id} (mock)",
        "family": "emby-mock",
        "description": model.description,
        "aliases": [f"emby/{model.id}"],
        "created": _CREATED,
        **({"vision": model.vision} if profile.model_vision else {}),
        "architecture": {
            "input_modalities": ["text", "image"] if model.vision else ["text"],
            "output_modalities": outputs,
            "tokenizer": "words",
        },
        "providers": [_provider(model, profile)],
        "pricing": pricing,
        "context_length": _CONTEXT,
        "supported_parameters": parameters,
        "json_output": model.json,
        "structured_outputs": model.json,
        "free": False,
    }


def _provider(model: Model, profile: Profile) -> dict[str, object]:
    card: dict[str, object] = {
        "providerId": "emby-mock",
        profile.provider_model_key: model.id,
        "pricing": {"prompt": "1e-9", "completion": "1e-9", "image": "0"},
        "streaming": True,
        "vision": model.vision,
        "cancellation": True,
        "tools": model.tools,
        "parallelToolCalls": model.tools,
        "reasoning": model.reasoning,
    }
    if profile.lists_limits:
        card["max_output"] = _MAX_OUTPUT
        card["reasoning_efforts"] = list(profile.efforts) if model.reasoning else []
    return card
