"""What is promised: each figure as a ratio of two rows of the same run, and whether it is met."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Job:
    """A kind of work, who does it, and how often it is measured."""

    name: str
    model: str
    stream: bool
    clients: tuple[str, ...]
    rounds: int


@dataclass(frozen=True, slots=True)
class Row:
    """The median of one client at one job. Seconds, bytes."""

    seconds: float
    cpu: float
    peak: int
    arrived: int


Rows = Mapping[tuple[str, str], Row]

JOBS = (
    Job(
        "2,000 deltas",
        "deltas-2000",
        True,
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
        ),
        9,
    ),
    Job("4,000 deltas", "deltas-4000", True, ("emby_core", "chat_emby", "llm_emby"), 5),
    Job(
        "short call",
        "short-0",
        False,
        (
            "httpx_bare",
            "emby_core",
            "openai_sdk",
            "chat_emby",
            "chat_openai",
            "llm_emby",
            "llm_openai",
        ),
        41,
    ),
    Job(
        "20 MB image",
        "image-20",
        False,
        (
            "httpx_bare",
            "emby_core",
            "emby_core_to_file",
            "openai_sdk",
            "chat_emby",
            "chat_openai",
            "chat_openrouter",
            "llm_emby",
        ),
        5,
    ),
    Job(
        "20 MB image, streamed",
        "image-20",
        True,
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
    ),
    Job("40 MB image, streamed", "image-40", True, ("emby_core", "emby_core_to_file"), 3),
    Job(
        "100 streams at once",
        "deltas-100",
        True,
        ("httpx_100_at_once", "emby_core_100_at_once"),
        5,
    ),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A promise: a number worked out of the rows, and the most it may be."""

    what: str
    most: float
    unit: str
    of: Callable[[Rows], float]


def _time(job: str, client: str) -> Callable[[Rows], float]:
    return lambda rows: rows[job, client].seconds


def _ratio(
    above: Callable[[Rows], float], below: Callable[[Rows], float]
) -> Callable[[Rows], float]:
    return lambda rows: above(rows) / below(rows)


def _peak(job: str, client: str) -> Callable[[Rows], float]:
    return lambda rows: rows[job, client].peak / MEGABYTE


_BARE = _time("2,000 deltas", "httpx_bare")


def _bare_and_nothing(rows: Rows) -> float:
    return _BARE(rows) + rows["2,000 deltas", "chat_nothing"].seconds


FIGURES = (
    Figure(
        "2,000 deltas: core / bare loop",
        1.0,
        "x",
        _ratio(_time("2,000 deltas", "emby_core"), _BARE),
    ),
    Figure(
        "2,000 deltas: ChatEmby / (bare loop + do-nothing model)",
        1.25,
        "x",
        _ratio(_time("2,000 deltas", "chat_emby"), _bare_and_nothing),
    ),
    Figure(
        "2,000 deltas: llm plugin / llm's OpenAI model",
        0.35,
        "x",
        _ratio(_time("2,000 deltas", "llm_emby"), _time("2,000 deltas", "llm_openai")),
    ),
    *(
        Figure(
            f"{job}: core / naive httpx",
            0.35,
            "x",
            _ratio(_time(job, "emby_core"), _time(job, "httpx_bare")),
        )
        for job in ("20 MB image", "20 MB image, streamed")
    ),
    *(
        Figure(f"{job}: peak memory", 55, "MB", _peak(job, "emby_core"))
        for job in ("20 MB image", "20 MB image, streamed")
    ),
    *(
        Figure(f"{job}, to a file: peak memory", 10, "MB", _peak(job, "emby_core_to_file"))
        for job in ("20 MB image", "20 MB image, streamed")
    ),
    Figure(
        "short call: core / bare httpx",
        1.5,
        "x",
        _ratio(_time("short call", "emby_core"), _time("short call", "httpx_bare")),
    ),
    Figure(
        "short call: ChatEmby more than core",
        3,
        "ms",
        lambda rows: (
            1000 * (_time("short call", "chat_emby")(rows) - _time("short call", "emby_core")(rows))
        ),
    ),
    *(
        Figure(
            f"twice the deltas: {client}",
            2.2,
            "x",
            _ratio(_time("4,000 deltas", client), _time("2,000 deltas", client)),
        )
        for client in ("emby_core", "chat_emby", "llm_emby")
    ),
    Figure(
        "twice the bytes: core",
        2.2,
        "x",
        _ratio(
            _time("40 MB image, streamed", "emby_core"), _time("20 MB image, streamed", "emby_core")
        ),
    ),
    Figure(
        "100 streams at once: core / bare httpx",
        1.0,
        "x",
        _ratio(
            _time("100 streams at once", "emby_core_100_at_once"),
            _time("100 streams at once", "httpx_100_at_once"),
        ),
    ),
)
