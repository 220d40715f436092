"""The models the mock answers as, how they are found and listed, and what they refuse."""

from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from emby_plugins.mock.errors import ApiError
from emby_plugins.mock.profiles import Profile

CUSTOM_PROVIDERS = ("acme", "mycompany")
"""The custom providers that the mock's account has (Custom Providers page)."""

MOCK = "emby-mock"

_CREATED = 1730000000
_CONTEXT = 131_072
_MAX_OUTPUT = 65_536
_PRICE = 1e-9


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """What one model can do, and how the provider behind it speaks.

    `text` is false for a model that only makes images. A `lenient` one answers from the images
    that open when others do not (Vision Support page, "Per-model Handling"). `speaks` is the
    provider's protocol, which shows in how images and streams come. `providers` have it under
    the names given. `price` is in dollars a token, None where nobody knows it.
    """

    id: str
    description: str = "A model of the gateway's, played by the mock."
    text: bool = True
    vision: bool = True
    image_output: bool = False
    tools: bool = True
    reasoning: bool = False
    json_schema: bool = True
    documents: bool = False
    image_input: bool = True
    lenient: bool = False
    speaks: Literal["openai", "google", "images"] = "openai"
    providers: tuple[tuple[str, str], ...] = ()
    profiles: tuple[str, ...] = ("2025-11", "2025-12", "2026-08")
    max_output: int = _MAX_OUTPUT
    price: float | None = _PRICE
    region: str | None = None
    is_deactivated: bool = False

    @property
    def only_makes_images(self) -> bool:
        """Whether it never answers in words."""
        return not self.text


@dataclass(frozen=True, slots=True)
class Route:
    """A model as it was asked for, and who answers.

    `requested_provider` is the provider that was asked for, None where the gateway chose.
    """

    asked: str
    model: Model
    provider: str = MOCK
    provider_model: str = ""
    requested_provider: str | None = None

    def shown(self, profile: Profile) -> str:
        """How errors call the model: by the provider's name for it, or by the gateway's."""
        return self.provider_model if profile.names_prefixes else self.model.id


@cache
def models_of(profile_name: str) -> tuple[Model, ...]:
    """The models of a profile, from `models.json`: the mock's own, and those of the recordings.

    `emby` has the mock's own only, under documented names too: Emby's own list is not known.
    """
    text = files(__package__).joinpath("models.json").read_bytes()
    known = msgspec.json.decode(text, type=tuple[Model, ...])
    return tuple(model for model in known if profile_name in model.profiles)


def find_model(asked: str, profile: Profile, *, scripted: bool) -> Route:
    """The model meant by `name` or `provider/name`. Raises ApiError where the gateway has none.

    An unknown provider is found later (`check_provider`), as it may be a custom one. For a
    `scripted` reply, the profile `emby` takes any name: nobody knows all of Emby's.
    """
    name = asked.removeprefix("emby/") if profile.is_emby else asked
    models = models_of(profile.name)
    provider, slash, rest = name.partition("/")
    if not slash:
        return _without_provider(asked, name, models, profile, scripted=scripted)
    mine = [model for model in models if provider in dict(model.providers)]
    if not mine:
        custom = Model(id=rest, reasoning=True, documents=True, price=None)
        return Route(asked, custom, provider, rest, "custom")
    names = {n: m for m in models for n in (m.id, *dict(m.providers).values())}
    if rest not in names:
        raise _no_model(rest)
    model = next((m for m in mine if rest in (m.id, dict(m.providers)[provider])), None)
    if model is None:
        raise ApiError(400, f"Provider {provider} does not support model {rest}")
    its = dict(model.providers)[provider]
    return _checked(Route(asked, model, provider, its, provider), profile)


def check_provider(route: Route) -> Route:
    """The route, once the key is known: what is no provider must be a custom one of the key's."""
    if route.requested_provider != "custom":
        return route
    if route.provider not in CUSTOM_PROVIDERS or not route.model.id:
        raise ApiError(400, f"Provider '{route.provider}' not found.")
    return replace(route, provider="custom")


def _without_provider(
    asked: str, name: str, models: tuple[Model, ...], profile: Profile, *, scripted: bool
) -> Route:
    model = next((model for model in models if model.id == name), None)
    if model is None:
        for other in models:
            for provider, provider_model in other.providers:
                if provider_model == name and profile.names_prefixes:
                    hint = f"Use the format: {provider}/{other.id}"
                    message = f"Model {name} must be requested with a provider prefix. {hint}"
                    raise ApiError(400, message)
        if not (scripted and profile.is_emby and name):
            raise _no_model(name)
        model = msgspec.structs.replace(models[0], id=name, description="Known to a script only.")
        return Route(asked, model, provider_model=name)
    provider, provider_model = model.providers[0]
    requested = None
    if name == "auto":
        model = next(other for other in models if other.id == profile.auto_model)
        requested = "llmgateway" if profile.names_prefixes else None
        provider, provider_model = model.providers[0]
    return _checked(Route(asked, model, provider, provider_model, requested), profile)


def _no_model(name: str) -> ApiError:
    return ApiError(400, f"Requested model {name[:200]} not supported")


def _checked(route: Route, profile: Profile) -> Route:
    if route.model.is_deactivated:
        name = route.shown(profile)
        message = f"Model {name} has been deactivated and is no longer available"
        raise ApiError(410, message)
    return route


def list_models(profile: Profile, *, with_deactivated: bool = False) -> list[dict[str, object]]:
    """The `data` of GET /models: every field the profile knows, with play-money prices."""
    models = models_of(profile.name)
    return [_card(m, profile) for m in models if with_deactivated or not m.is_deactivated]


def _card(model: Model, profile: Profile) -> dict[str, object]:
    parameters = ["temperature", "max_tokens", "top_p", "frequency_penalty", "presence_penalty"]
    is_real = model.price is not None
    if is_real:
        parameters += ["response_format"] if model.json_schema else []
        parameters += ["tools", "tool_choice"] if model.tools else []
        parameters += ["reasoning"] if model.reasoning else []
    free = ("image", "request", "input_cache_read", "input_cache_write", "web_search")
    pricing = dict.fromkeys((*free, "internal_reasoning"), "0")
    pricing |= {"prompt": f"{_PRICE:g}", "completion": f"{_PRICE:g}"}
    outputs = (["text"] if model.text else []) + (["image"] if model.image_output else [])
    card: dict[str, object] = {
        "id": model.id,
        "name": model.id,
        "created": _CREATED,
        "description": model.description,
        "family": model.providers[0][0],
        "architecture": {
            "input_modalities": ["text", "image"] if model.vision else ["text"],
            "output_modalities": outputs,
            "tokenizer": "GPT",
        },
        "providers": [_provider(name, its, model, profile) for name, its in model.providers],
        "pricing": pricing,
        "supported_parameters": parameters,
        "json_output": not model.only_makes_images,
        "free": False,
    }
    if is_real or profile.lists_limits:
        card["context_length"] = _CONTEXT
    if profile.is_emby:
        # Documented (Vision page, Vision-Enabled Models); the gateways say it of providers only.
        card["vision"] = model.vision
        card["aliases"] = [f"emby/{model.id}"]
    if profile.lists_structured_outputs:
        card["structured_outputs"] = model.json_schema
    if profile.lists_limits:
        card |= {"display_name": model.id}
        card |= {"max_output": model.max_output} if is_real else {}
        pricing["input_cache_write_1h"] = "0"
    if model.is_deactivated:
        card["deactivated_at"] = "2025-11-01T00:00:00.000Z"
    return card


def _provider(name: str, its: str, model: Model, profile: Profile) -> dict[str, object]:
    card: dict[str, object] = {
        "providerId": name,
        profile.provider_model_key: its,
        "streaming": True,
        "vision": model.vision,
        "cancellation": True,
        "tools": model.tools,
        "parallelToolCalls": model.tools,
        "reasoning": model.reasoning,
    }
    if model.price is None:
        return card
    pricing = {"prompt": f"{_PRICE:g}", "completion": f"{_PRICE:g}", "image": "0"}
    card["pricing"] = pricing
    if profile.lists_limits:
        keys = ("request", "input_cache_read", "input_cache_write", "input_cache_write_1h")
        card["pricing"] = pricing | dict.fromkeys(keys, "0")
        card["max_output"] = model.max_output
        card |= {"reasoning_efforts": list(profile.efforts)} if model.reasoning else {}
    return card
