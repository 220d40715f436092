"""The dialects of the wire: what Emby documents, and two states of the gateway it resembles.

A profile says how things are said; what is said is the same in all. `emby` is what Emby's pages
tell, and takes what they leave open; `2025-12` and `2026-08` are traffic observed from the
open-source gateway whose documentation Emby's mirrors.
"""

from dataclasses import dataclass
from typing import Literal

_DOCUMENTED_EFFORTS = ("minimal", "low", "medium", "high")
_DONE_EVENT = b"event: done\ndata: [DONE]\n\n"
_BARE_DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Profile:
    """One dialect.

    `flat_errors`: errors are `{"error": true, "status", "message"}`, and whatever went wrong
    upstream is a 500. `whole_images`: a model that only makes images streams them in one chunk.
    `usage_on_finish`: usage rides on the finish chunk; otherwise on one without choices.
    `model_vision`: `vision` stands on a listed model itself, not on its providers only.
    `ping` is the seconds between keep-alive comments in a stream that waits.
    """

    name: str
    efforts: tuple[str, ...] = _DOCUMENTED_EFFORTS
    tool_choices: tuple[str, ...] = ("auto", "none")
    image_config: tuple[str, ...] = ("aspect_ratio", "image_size")
    takes_files: bool = True
    flat_errors: bool = False
    done: bytes = _DONE_EVENT
    whole_images: bool = True
    usage_on_finish: bool = False
    reasoning_tokens: Literal["top", "details", "both"] = "both"
    cost: Literal["none", "cost_usd", "cost"] = "none"
    model_vision: bool = True
    provider_model_key: Literal["modelName", "externalId"] = "modelName"
    lists_limits: bool = False
    ping: float | None = None


_ALL_IMAGE_CONFIG = ("aspect_ratio", "image_size", "image_quality", "n", "seed")

EMBY = Profile("emby", tool_choices=("auto", "none", "required"), image_config=_ALL_IMAGE_CONFIG)
"""What Emby documents (Image Generation, Vision Support and Reasoning pages)."""

_2025_12 = Profile(
    "2025-12",
    takes_files=False,
    flat_errors=True,
    whole_images=False,
    usage_on_finish=True,
    reasoning_tokens="top",
    cost="cost_usd",
    model_vision=False,
)
_2026_08 = Profile(
    "2026-08",
    efforts=("none", *_DOCUMENTED_EFFORTS, "xhigh", "max"),
    tool_choices=("auto", "none", "required"),
    image_config=_ALL_IMAGE_CONFIG,
    done=_BARE_DONE,
    reasoning_tokens="details",
    cost="cost",
    model_vision=False,
    provider_model_key="externalId",
    lists_limits=True,
    ping=15.0,
)

PROFILES = {profile.name: profile for profile in (EMBY, _2025_12, _2026_08)}
"""The profiles by name: `emby`, `2025-12`, `2026-08`."""
