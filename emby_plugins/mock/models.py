"""The models of the mock, how they are found and listed."""

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
_TOKEN_PRICES = {"prompt": f"{_PRICE:g}", "completion": f"{_PRICE:g}"}
_FREE = ("image", "request", "input_cache_read", "input_cache_write", "web_search",
         "internal_reasoning")  # fmt: skip


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """What one model can do, and the protocol its provider `speaks`.

    `text` is false for a model that only makes images. A `lenient` one uses the images that open
    when others do not (Vision Support page, "Per-model Handling"). `providers` are pairs of a
    provider and its name for the model. `price` is in dollars a token, None if unknown.
    """

    id: str
    description: str = "A model of the gateway's, mocked."
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


@dataclass(frozen=True, slots=True)
class Route:
    """A requested model, and who replies.

    `requested_provider` is None if the gateway chose.
    """

    requested: str
    model: Model
    provider: str = MOCK
    provider_model: str = ""
    requested_provider: str | None = None

    def name_in(self, profile: Profile) -> str:
        """The model's name in errors: the provider's for it, or the gateway's."""
        return self.provider_model if profile.names_prefixes else self.model.id


@cache
def models_of(profile_name: str) -> tuple[Model, ...]:
    """The models of a profile, from `models.json`: the mock's own, and those of the recordings.

    `emby` has the mock's own only, under documented names too: Emby's own list is not known.
    """
    text = files(__package__).joinpath("models.json").read_bytes()
    known = msgspec.json.decode(text, type=tuple[Model, ...])
    return tuple(model for model in known if profile_name in model.profiles)


def find_model(requested: str, profile: Profile, *, scripted: bool) -> Route:
    """The model of `name` or `provider/name`. Raises ApiError if the gateway has none.

    An unknown provider is found later (`check_provider`), as it may be a custom one. For a
    `scripted` reply, the profile `emby` accepts any name: not all of Emby's are known.
    """
    name = requested.removeprefix("emby/") if profile.is_emby else requested
    models = models_of(profile.name)
    provider, slash, rest = name.partition("/")
    if not slash:
        return _without_provider(requested, name, models, profile, scripted=scripted)
    of_provider = [model for model in models if provider in dict(model.providers)]
    if not of_provider:
        custom = Model(id=rest, reasoning=True, documents=True, price=None)
        return Route(requested, custom, provider, rest, "custom")
    if rest not in {n for m in models for n in (m.id, *dict(m.providers).values())}:
        raise _unknown_model(rest)
    for model in of_provider:
        own_name = dict(model.providers)[provider]
        if rest in (model.id, own_name):
            return _checked(Route(requested, model, provider, own_name, provider), profile)
    raise ApiError(400, f"Provider {provider} does not support model {rest}")


def check_provider(route: Route) -> Route:
    """The route, once the key is known: an unknown provider must be a custom one of the key's."""
    if route.requested_provider != "custom":
        return route
    if route.provider not in CUSTOM_PROVIDERS or not route.model.id:
        raise ApiError(400, f"Provider '{route.provider}' not found.")
    return replace(route, provider="custom")


def _without_provider(
    requested: str, name: str, models: tuple[Model, ...], profile: Profile, *, scripted: bool
) -> Route:
    is_auto = name == "auto"
    model = next((m for m in models if m.id == (profile.auto_model if is_auto else name)), None)
    if model is not None:
        chosen = "llmgateway" if is_auto and profile.names_prefixes else None
        return _checked(Route(requested, model, *model.providers[0], chosen), profile)
    for other in models if profile.names_prefixes else ():
        for provider, provider_model in other.providers:
            if provider_model == name:
                hint = f"Use the format: {provider}/{other.id}"
                message = f"Model {name} must be requested with a provider prefix. {hint}"
                raise ApiError(400, message)
    if not (scripted and profile.is_emby and name):
        raise _unknown_model(name)
    any_model = msgspec.structs.replace(models[0], id=name, description="In a script only.")
    return Route(requested, any_model, provider_model=name)


def _unknown_model(name: str) -> ApiError:
    return ApiError(400, f"Requested model {name[:200]} not supported")


def _checked(route: Route, profile: Profile) -> Route:
    if route.model.is_deactivated:
        name = route.name_in(profile)
        message = f"Model {name} has been deactivated and is no longer available"
        raise ApiError(410, message)
    return route


def list_models(profile: Profile, *, with_deactivated: bool = False) -> list[dict[str, object]]:
    """The `data` of GET /models: every field of the profile, with play-money prices."""
    models = models_of(profile.name)
    return [_card(m, profile) for m in models if with_deactivated or not m.is_deactivated]


def _card(model: Model, profile: Profile) -> dict[str, object]:
    is_priced = model.price is not None
    parameters = ["temperature", "max_tokens", "top_p", "frequency_penalty", "presence_penalty"]
    for name, is_supported in (
        ("response_format", model.json_schema),
        ("tools", model.tools),
        ("tool_choice", model.tools),
        ("reasoning", model.reasoning),
    ):
        parameters += [name] if is_priced and is_supported else []
    pricing = {**_TOKEN_PRICES, **dict.fromkeys(_FREE, "0")}
    card: dict[str, object] = {
        "id": model.id,
        "name": model.id,
        "created": _CREATED,
        "description": model.description,
        "family": model.providers[0][0],
        "architecture": {
            "input_modalities": ["text", "image"] if model.vision else ["text"],
            "output_modalities": ["text"] * model.text + ["image"] * model.image_output,
            "tokenizer": "GPT",
        },
        "providers": [_provider(name, its, model, profile) for name, its in model.providers],
        "pricing": pricing,
        "supported_parameters": parameters,
        "json_output": model.text,
        "free": False,
    }
    if is_priced or profile.lists_limits:
        card["context_length"] = _CONTEXT
    if profile.is_emby:
        # Documented (Vision page, Vision-Enabled Models); the gateways list it by provider only.
        card |= {"vision": model.vision, "aliases": [f"emby/{model.id}"]}
    if profile.lists_structured_outputs:
        card["structured_outputs"] = model.json_schema
    if profile.lists_limits:
        card |= {"display_name": model.id}
        card |= {"max_output": model.max_output} if is_priced else {}
        pricing["input_cache_write_1h"] = "0"
    if model.is_deactivated:
        card["deactivated_at"] = "2025-11-01T00:00:00.000Z"
    return card


def _provider(name: str, its: str, model: Model, profile: Profile) -> dict[str, object]:
    tools = dict.fromkeys(("tools", "parallelToolCalls"), model.tools)
    card: dict[str, object] = {"providerId": name, profile.provider_model_key: its}
    card |= {"streaming": True, "vision": model.vision, "cancellation": True}
    card |= {**tools, "reasoning": model.reasoning}
    if model.price is None:
        return card
    card["pricing"] = pricing = {**_TOKEN_PRICES, "image": "0"}
    if profile.lists_limits:
        pricing |= dict.fromkeys(("input_cache_write_1h", *_FREE[1:4]), "0")
        card["max_output"] = model.max_output
        card |= {"reasoning_efforts": list(profile.efforts)} if model.reasoning else {}
    return card
