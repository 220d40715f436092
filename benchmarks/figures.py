"""The promised figures, each computed from the rows of one run."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.jobs import Rows

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Figure:
    """A promised figure, computed from the rows, with its upper limit."""

    what: str
    most: float
    unit: str
    of: Callable[[Rows], float]


def _cpu(job: str, client: str, per: int = 1) -> Callable[[Rows], float]:
    """Milliseconds of CPU time, which other programs affect less than elapsed time."""
    return lambda rows: 1000 * rows[job, client].cpu / per


def _peak(job: str, client: str) -> Callable[[Rows], float]:
    return lambda rows: rows[job, client].peak / MEGABYTE


def _seconds(job: str, client: str) -> Callable[[Rows], float]:
    return lambda rows: rows[job, client].seconds


def _arrived(job: str, client: str) -> Callable[[Rows], float]:
    return lambda rows: rows[job, client].arrived / MEGABYTE


def _ratio(job: str, client: str, below: Callable[[Rows], float], what: str, most: float) -> Figure:
    above = _cpu(job, client)
    return Figure(f"{job}: {what}", most, "x", lambda rows: above(rows) / below(rows))


def _more(
    above: Callable[[Rows], float], below: Callable[[Rows], float]
) -> Callable[[Rows], float]:
    return lambda rows: above(rows) - below(rows)


def _text() -> Iterator[Figure]:
    job = "2,000 deltas"
    bare, nothing = _cpu(job, "httpx_bare"), _cpu(job, "chat_nothing")
    yield _ratio(job, "emby_core", bare, "core / bare loop", 1.0)
    yield _ratio(
        job,
        "chat_emby",
        lambda rows: bare(rows) + nothing(rows),
        "ChatEmby / (bare loop + do-nothing model)",
        1.25,
    )
    yield _ratio(job, "llm_emby", _cpu(job, "llm_openai"), "llm plugin / llm's OpenAI model", 0.35)
    for client in ("emby_core", "chat_emby", "llm_emby"):
        yield _ratio("4,000 deltas", client, _cpu(job, client), f"{client}, of half of them", 2.2)


def _calls() -> Iterator[Figure]:
    job = "short call"
    core = _cpu(job, "emby_core")
    yield _ratio(job, "emby_core", _cpu(job, "httpx_bare"), "core / bare httpx", 1.5)
    more = _more(_cpu(job, "chat_emby"), core)
    yield Figure(f"{job}: ChatEmby more than core", 3, "ms", more)
    off = _cpu(job, "emby_core_unobserved")
    yield _ratio(job, "emby_core", off, "telemetry off / not there", 1.03)
    job = "20 short calls, async"
    yield _ratio(job, "emby_async", _cpu(job, "httpx_async"), "core / bare async httpx", 1.3)


def _images_in() -> Iterator[Figure]:
    for job in ("20 MB image", "20 MB image, streamed"):
        bare = _cpu(job, "httpx_bare")
        yield _ratio(job, "emby_core", bare, "core / naive httpx", 0.35)
        yield Figure(f"{job}: peak memory", 55, "MB", _peak(job, "emby_core"))
        yield Figure(f"{job}, to a file: peak memory", 10, "MB", _peak(job, "emby_core_to_file"))
        yield _ratio(job, "chat_emby", bare, "ChatEmby / naive httpx", 0.45)
        yield Figure(f"{job}, ChatEmby: peak memory", 55, "MB", _peak(job, "chat_emby"))
    half = _cpu("20 MB image, streamed", "emby_core")
    yield _ratio("40 MB image, streamed", "emby_core", half, "core, of half the bytes", 2.2)


def _images_out() -> Iterator[Figure]:
    ways = {
        "emby_sends_bytes": "core, from bytes",
        "emby_sends_path": "core, from a path",
        "emby_sends_data_url": "core, from a data URL",
        "emby_async_sends_path": "async core, from a path",
        "chat_emby_sends": "ChatEmby",
        "llm_emby_sends": "llm plugin",
    }
    for job in ("one 20 MB image sent", "ten 5 MB images sent"):
        for client, way in ways.items():
            yield _ratio(job, client, _cpu(job, "httpx_sends"), f"{way} / naive httpx", 0.15)
            yield Figure(f"{job}: {way}: peak memory", 4, "MB", _peak(job, client))
        whole, nothing = _peak(job, "chat_emby_sends"), _peak(job, "chat_nothing_sends")
        what = f"{job}: ChatEmby: peak memory beyond LangChain's own"
        yield Figure(what, 4, "MB", _more(whole, nothing))
    history = _peak("ten 5 MB images sent", "emby_sends_history")
    yield Figure("ten 5 MB images sent, in ten turns: peak memory", 4, "MB", history)
    job = "photo of 12 megapixels"
    by_hand = _cpu(job, "pillow_photo")
    yield _ratio(job, "emby_photo", by_hand, "shrunk to 2 / Pillow by hand", 1.2)
    yield _ratio(job, "emby_photo_untouched", by_hand, "sent as it is / Pillow by hand", 0.05)
    job = "12 megapixels as PNG"
    yield _ratio(job, "emby_from_pil", _cpu(job, "pillow_save"), "from_pil / Pillow's save", 1.05)


def _many() -> Iterator[Figure]:
    few, many = "1,000 calls at once", "5,000 calls at once"
    for client, way in (("emby_gather", "gather"), ("chat_emby_abatch", "ChatEmby.abatch")):
        of_few, of_many = _cpu(few, client, 1000), _cpu(many, client, 5000)
        yield Figure(f"{few}: {way}, CPU a call", 3, "ms", of_few)
        yield Figure(f"{many}: {way}, CPU a call", 3, "ms", of_many)
    job = "100 streams at once"
    yield _ratio(job, "emby_gather", _cpu(job, "httpx_gather"), "core / bare httpx", 1.0)
    job = "1,000 streams at once"
    yield _ratio(job, "emby_gather", _cpu(job, "httpx2_gather"), "core / bare httpx2", 0.6)
    job = "290 streams longer than their timeout"
    for client, way in (("emby_patient", "tasks"), ("emby_patient_threads", "threads")):
        yield Figure(f"{job}: {way}, timeouts", 0, "", _missing(job, client, 290))


def _missing(job: str, client: str, of: int) -> Callable[[Rows], float]:
    return lambda rows: of - rows[job, client].arrived


def _programs() -> Iterator[Figure]:
    yield _ratio("first call", "emby_cold", _cpu("first call", "httpx_cold"), "core / httpx", 1.3)
    job = "`llm` as a process"
    openai = _cpu(job, "llm_openai_process")
    yield _ratio(job, "llm_emby_process", openai, "plugin / llm's OpenAI model", 1.0)
    yield Figure("1,000 clients: memory left", 10, "MB", _peak("1,000 clients", "emby_clients"))
    forty, none = (
        _peak(f"`llm -c`, {images}", "llm_conversation") for images in ("40 images", "no image")
    )
    what = "`llm -c`, 40 images of 2 MB: more memory than with none"
    yield Figure(what, 10, "MB", _more(forty, none))
    job = "gallery of 20,000"
    yield Figure(f"{job}: page", 5, "MB", _arrived(job, "llm_gallery"))
    yield Figure(f"{job}: memory", 250, "MB", _peak(job, "llm_gallery"))
    yield Figure(f"{job}: first look", 1, "s", _seconds(job, "gallery_in_chromium"))
    client = "chat_emby_checkpoints_by_reference"
    ten, twenty = (_arrived(f"{n} turns with a 5 MB image", client) for n in (10, 20))
    yield Figure("10 turns with a 5 MB image, by reference: on disk", 60, "MB", ten)
    what = "20 turns, by reference: on disk, of 10"
    yield Figure(what, 2.2, "x", lambda rows: twenty(rows) / ten(rows))


FIGURES = (*_text(), *_calls(), *_images_in(), *_images_out(), *_many(), *_programs())
