"""The options of `llm -o NAME VALUE`, one class for all models: each class costs start-up time.

Imported at every start of `llm`, so the core's own types are not imported here.
"""

import json
from typing import Any, Literal

import llm
from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError


class Options(llm.Options):
    """The options of a prompt."""

    # Its validator is built with the first prompt, not at every start of llm.
    model_config = ConfigDict(defer_build=True)

    temperature: float | None = Field(
        description="Sampling temperature, 0 to 2", ge=0, le=2, default=None
    )
    max_tokens: int | None = Field(
        description="Maximum length of the reply in tokens", ge=1, default=None
    )
    top_p: float | None = Field(
        description="Nucleus sampling: probability mass to sample from, 0 to 1",
        ge=0,
        le=1,
        default=None,
    )
    frequency_penalty: float | None = Field(
        description="Penalty for frequent tokens, -2 to 2", ge=-2, le=2, default=None
    )
    presence_penalty: float | None = Field(
        description="Penalty for tokens that already occurred, -2 to 2", ge=-2, le=2, default=None
    )
    stop: list[str] | None = Field(
        description='Text that ends the reply, or a JSON list: ["\\n", "END"]', default=None
    )
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        Field(description="How much the model reasons before it answers", default=None)
    )
    json_object: bool | None = Field(description="Reply with a JSON object", default=None)
    web_search: bool | None = Field(
        description="Search the web; gateways before 2026 ignore it", default=None
    )
    image_detail: Literal["low", "high", "auto"] | None = Field(
        description="Resolution at which the model reads images", default=None
    )
    image_metadata: Literal["reduce", "keep", "remove"] | None = Field(
        description="EXIF data of input images: reduce (the default: no location in converted "
        "images), keep or remove",
        default=None,
    )
    aspect_ratio: str | None = Field(
        description="Aspect ratio of generated images, such as 16:9", default=None
    )
    image_size: str | None = Field(
        description="Size of generated images: 1K, 2K or 4K", default=None
    )
    image_quality: str | None = Field(
        description="Quality of generated images, such as high, if supported", default=None
    )
    endpoint: Literal["auto", "chat", "images"] | None = Field(
        description="Endpoint for generated images", default=None
    )
    mask: str | None = Field(
        description="File that marks what to edit by its transparent pixels", default=None
    )
    seed: int | None = Field(
        description="Random seed for image generation, if supported", default=None
    )
    fresh: bool | None = Field(
        description="Bypass caches of replies; the default for orders of images", default=None
    )
    output: str | None = Field(
        description="Where to save generated images: a file if it has a suffix, otherwise a folder",
        default=None,
    )
    overwrite: bool | None = Field(description="Replace an existing output file", default=None)
    metadata: dict[str, str] | None = Field(
        description='Sent as X-Emby-* headers: {"tenant_id": "acme"}', default=None
    )
    source: str | None = Field(
        description="Domain of the calling app, sent as X-Source", default=None
    )
    header: dict[str, str] | None = Field(
        description='HTTP headers to send, "Name: value" on each line; logged by llm', default=None
    )
    extra: dict[str, Any] | None = Field(
        description='JSON object merged into the request body: {"user": "me"}', default=None
    )
    timeout: float | None = Field(
        description="Seconds without data before giving up", gt=0, default=None
    )
    deadline: float | None = Field(
        description="Seconds for the whole call, including retries", gt=0, default=None
    )
    max_retries: int | None = Field(
        description="Further attempts after a failed connection or a busy gateway",
        ge=0,
        default=None,
    )

    @model_validator(mode="before")
    @classmethod
    def _suggest(cls, values: Any) -> Any:
        """Refuse unknown names, as llm's class does, but with a suggestion."""
        given = values if isinstance(values, dict) else {}
        unknown = [name for name in given if name not in cls.model_fields]
        if unknown:
            details = [
                InitErrorDetails(type=_misspelt(n, cls), loc=(n,), input=None) for n in unknown
            ]
            raise ValidationError.from_exception_data(cls.__name__, details)
        return values

    @field_validator("metadata", "extra", mode="before")
    @classmethod
    def _parse_object(cls, value: object) -> object:
        # `llm -o` gives text.
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise PydanticCustomError(
                "value_error", 'Expected a JSON object, such as {"name": "value"}'
            ) from None

    @field_validator("stop", mode="before")
    @classmethod
    def _parse_stop(cls, value: object) -> object:
        if isinstance(value, str):
            try:
                found = json.loads(value)
            except ValueError:
                found = None
            value = found if isinstance(found, list) else [value]
        # llm can't print the errors that pydantic has for an item.
        if isinstance(value, list) and not all(isinstance(item, str) and item for item in value):
            raise PydanticCustomError("value_error", "A stop sequence is text, and not empty")
        return value

    @field_validator("header", mode="before")
    @classmethod
    def _parse_header(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [line.partition(":") for line in value.splitlines() if line.strip()]
        if not all(name.strip() and colon for name, colon, _ in pairs):
            raise PydanticCustomError("value_error", 'Expected "Name: value"')
        return {name.strip(): text.strip() for name, _, text in pairs}


def _misspelt(name: str, options: type[Options]) -> PydanticCustomError:
    from difflib import get_close_matches

    near = get_close_matches(name, options.model_fields, n=1)
    hint = f"Did you mean {near[0]}?" if near else "See 'llm models --options -m MODEL'."
    return PydanticCustomError("extra_forbidden", "There is no such option. {hint}", {"hint": hint})
