"""The dialects of the wire: three recorded states of the gateway, and Emby as documented.

A profile is the form of responses; their content is the same in all. `2025-11` is the fork that
Emby's makers publish, `2025-12` and `2026-08` are later states of the same software. `emby` is what
Emby's pages document, and `2025-11` wherever they are silent.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal

import msgspec

from emby_plugins.mock.schema_validation import Schema, request_schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One dialect. The defaults are those of 2025-11.

    What is accepted: `schema`, of chat bodies; `takes_x_api_key`, beside a bearer.
    The order of checks: `key_before_capabilities`, else a model's capabilities come before the key.

    Errors: `flat_errors` are `{"error": true, "status", "message"}`; `names_prefixes`, errors
    name providers' own models. Of a provider's failure: `names_provider` in the message,
    `passes_client_errors` with status and body, `reports_truncation` of a stream in an error event.

    Replies: `streams_provider_model`, the provider's name of it in chunks; `fills_empty_text`
    beside images; `image_safety`, the finish reason of an image refused; `details_usage` and
    `streams_metadata` in the last chunk; `cost`; `max_streamed_image` in characters of base64,
    beyond which the image is silently dropped; `ping`, the seconds between keep-alive comments.

    `marks_cache` marks a cached reply and lets `x-no-cache` bypass the cache. With
    `has_images_endpoint`, /images/generations and /images/edits exist. The rest is about models.
    """

    name: str
    is_emby: bool = False
    schema: Schema = field(repr=False)
    takes_x_api_key: bool = False
    key_before_capabilities: bool = False
    flat_errors: bool = True
    names_prefixes: bool = True
    names_provider: bool = False
    passes_client_errors: bool = False
    reports_truncation: bool = False
    streams_provider_model: bool = True
    fills_empty_text: bool = False
    image_safety: Literal["stop", "content_filter"] = "stop"
    details_usage: bool = False
    streams_metadata: bool = False
    cost: Literal["none", "cost_usd", "cost"] = "none"
    max_streamed_image: int | None = None
    ping: float | None = None
    marks_cache: bool = False
    has_images_endpoint: bool = False
    auto_image_model: str = "emby-mock-image"
    auto_model: str = "gpt-5-nano"
    provider_model_key: Literal["modelName", "externalId"] = "modelName"
    lists_structured_outputs: bool = False
    lists_limits: bool = False

    @property
    def efforts(self) -> list[str]:
        """The reasoning efforts that the schema takes."""
        options = self.schema["properties"]["reasoning_effort"]["enum"]
        return [effort for effort in options if effort is not None]


def _documented() -> Schema:
    """The schema of 2025-11 with `type: "file"`, which Emby documents and gives no shape."""
    schema = deepcopy(request_schema("2025-11"))
    schema["$defs"]["file_part"] = request_schema("2026-08")["$defs"]["file_part"]
    parts = schema["$defs"]["message"]["properties"]["content"]["anyOf"][1]["items"]["anyOf"]
    parts.append({"$ref": "#/$defs/file_part"})
    return schema


def _load() -> dict[str, Profile]:
    text = files(__package__).joinpath("profiles.toml").read_bytes()
    return {
        name: Profile(
            name=name, schema=_documented() if name == "emby" else request_schema(name), **values
        )
        for name, values in msgspec.toml.decode(text, type=dict[str, dict[str, Any]]).items()
    }


PROFILES = _load()
"""The profiles by name: `emby`, `2025-11`, `2025-12`, `2026-08`."""

EMBY = PROFILES["emby"]
"""What Emby documents, and the fork wherever its pages are silent."""
