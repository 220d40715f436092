"""What `llm -o NAME VALUE` takes, for every model of Emby. One class: each costs start-up time.

Imported at every start of `llm`, so the core's own types stay away from here.
"""

import json
from typing import Literal

import llm
from pydantic import Field, field_validator


class Options(llm.Options):
    """The options of a prompt."""

    temperature: float | None = Field(
        description="How freely the model chooses its words: 0 to 2", ge=0, le=2, default=None
    )
    max_tokens: int | None = Field(description="The longest reply, in tokens", ge=1, default=None)
    top_p: float | None = Field(
        description="Choose among the likeliest tokens that make up this share: 0 to 1",
        ge=0,
        le=1,
        default=None,
    )
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        Field(description="How long the model reasons before it answers", default=None)
    )
    aspect_ratio: str | None = Field(
        description="The shape of a generated image, such as 16:9", default=None
    )
    image_size: str | None = Field(
        description="The size of a generated image: 1K, 2K or 4K", default=None
    )
    seed: int | None = Field(
        description="Makes a generated image repeatable, or another one, where a model heeds it",
        default=None,
    )
    metadata: dict[str, str] | None = Field(
        description='Sent as X-Emby-* headers: {"tenant_id": "acme"}', default=None
    )
    source: str | None = Field(
        description="The domain of the calling app, sent as X-Source", default=None
    )
    output: str | None = Field(
        description="Where generated images go: a file if it has a suffix, else a folder",
        default=None,
    )
    timeout: float | None = Field(
        description="The longest silence of the gateway, in seconds", gt=0, default=None
    )

    @field_validator("metadata", mode="before")
    @classmethod
    def _parse(cls, value: object) -> object:
        # `llm -o` gives text.
        return json.loads(value) if isinstance(value, str) else value
