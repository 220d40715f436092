"""The kinds of work, the clients that do them, and the number of rounds."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Job:
    """A kind of work. `make bench-quick` runs those with `is_quick`, without peers."""

    name: str
    model: str
    clients: tuple[str, ...]
    rounds: int
    stream: bool = False
    is_quick: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """The median of one client at one job, in seconds and bytes; `arrived` is bytes or replies."""

    seconds: float
    cpu: float
    peak: int
    arrived: int


Rows = Mapping[tuple[str, str], Row]

_SENDERS = (
    "httpx_sends",
    "emby_sends_bytes",
    "emby_sends_path",
    "emby_sends_data_url",
    "emby_async_sends_path",
    "chat_emby_sends",
    "llm_emby_sends",
    "chat_nothing_sends",
    "chat_openai_sends",
    "openai_sends",
)

_TEXT = (
    Job(
        "2,000 deltas",
        "deltas-2000",
        (
            "httpx_bare",
            "emby_core",
            "openai_sdk",
            "chat_nothing",
            "chat_emby",
            "chat_openai",
            "chat_openrouter",
            "llm_emby",
            "llm_openai",
            "llm_openrouter",
        ),
        9,
        stream=True,
        is_quick=True,
    ),
    Job("4,000 deltas", "deltas-4000", ("emby_core", "chat_emby", "llm_emby"), 5, stream=True),
    Job(
        "short call",
        "short-0",
        (
            "httpx_bare",
            "emby_core",
            "emby_core_unobserved",
            "emby_core_telemetry",
            "openai_sdk",
            "chat_emby",
            "chat_openai",
            "llm_emby",
            "llm_openai",
            "llm_openrouter",
        ),
        41,
        is_quick=True,
    ),
    Job(
        "20 short calls, async",
        "short-20",
        ("httpx_async", "emby_async", "openai_async"),
        15,
        is_quick=True,
    ),
)

_IMAGES_IN = (
    Job(
        "20 MB image",
        "image-20",
        (
            "httpx_bare",
            "emby_core",
            "emby_core_to_file",
            "openai_sdk",
            "chat_emby",
            "chat_emby_to_bytes",
            "chat_openai",
            "chat_openrouter",
            "llm_emby",
        ),
        5,
        is_quick=True,
    ),
    Job(
        "20 MB image, streamed",
        "image-20",
        (
            "httpx_bare",
            "emby_core",
            "emby_core_to_file",
            "openai_sdk",
            "chat_emby",
            "chat_openai",
            "llm_emby",
        ),
        5,
        stream=True,
    ),
    Job("40 MB image, streamed", "image-40", ("emby_core", "emby_core_to_file"), 5, stream=True),
)

_IMAGES_OUT = (
    Job("one 20 MB image sent", "short-20-1", _SENDERS, 5, is_quick=True),
    Job("ten 5 MB images sent", "short-5-10", (*_SENDERS, "emby_sends_history"), 3),
    Job(
        "photo of 12 megapixels",
        "photo-0",
        ("pillow_photo", "emby_photo", "emby_photo_untouched"),
        3,
    ),
    Job("12 megapixels as PNG", "photo-0", ("pillow_save", "emby_from_pil"), 3),
)

_MANY = (
    Job(
        "1,000 calls at once",
        "short-1000",
        (
            "httpx_gather",
            "emby_gather",
            "openai_gather",
            "chat_emby_abatch",
            "chat_openai_abatch",
        ),
        2,
    ),
    Job("5,000 calls at once", "short-5000", ("emby_gather", "chat_emby_abatch"), 1),
    Job(
        "100 streams at once",
        "deltas-100-100",
        ("httpx_gather", "emby_gather"),
        5,
        stream=True,
        is_quick=True,
    ),
    Job(
        "1,000 streams at once",
        "deltas-20-1000",
        ("httpx2_gather", "emby_gather", "emby_aiohttp_gather", "aiohttp_gather"),
        1,
        stream=True,
    ),
    Job(
        "290 streams longer than their timeout",
        "slow-8-290",
        ("emby_patient", "emby_patient_threads"),
        0,
        stream=True,
    ),
)

_PROGRAMS = (
    Job("first call", "short-0", ("python_process", "httpx_cold", "emby_cold", "openai_cold"), 5),
    Job(
        "`llm` as a process",
        "short-0",
        ("llm_alone_process", "llm_emby_process", "llm_openai_process"),
        5,
    ),
    Job("1,000 clients", "short-0", ("emby_clients",), 2),
    Job("`llm -c`, no image", "short-0", ("llm_conversation",), 2),
    Job("`llm -c`, 40 images", "short-40", ("llm_conversation",), 2),
    Job("gallery of 20,000", "gallery-20000", ("llm_gallery", "gallery_in_chromium"), 1),
    Job(
        "10 turns with a 5 MB image",
        "image-5-10",
        ("chat_emby_checkpoints", "chat_emby_checkpoints_by_reference"),
        0,
    ),
    Job("20 turns with a 5 MB image", "image-5-20", ("chat_emby_checkpoints_by_reference",), 0),
)

JOBS = (*_TEXT, *_IMAGES_IN, *_IMAGES_OUT, *_MANY, *_PROGRAMS)
