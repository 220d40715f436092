"""Report the measurements as tables, promised figures and a plot."""

import math
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import FIGURES, MEGABYTE
from benchmarks.jobs import JOBS, Rows

START_UP_MS = 15


def start_up() -> dict[str, float]:
    """The time `llm` takes to load the plugin, in ms, as the median of eleven fresh processes."""
    script = (
        "import llm.cli, llm.plugins, time, click\n"
        "start = time.perf_counter()\n"
        "import llm_emby\n"
        "llm_emby.register_models(lambda *a, **k: None)\n"
        "llm_emby.register_commands(click.Group())\n"
        "print(time.perf_counter() - start)\n"
    )
    environment = {**os.environ, "LLM_LOAD_PLUGINS": ""}
    command = [sys.executable, "-c", script]
    took = [
        float(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
        for _ in range(11)
    ]
    return {"llm start: added by the plugin": 1000 * statistics.median(took)}


def tables(rows: Rows, starts: Mapping[str, float], *, is_whole: bool = True) -> str:
    """The figures and all rows, in Markdown; a complete run lists missing measurements."""
    return "\n".join([*_figures(rows, starts, is_whole), "", *_rows(rows)])


def page(rows: Rows, starts: Mapping[str, float]) -> str:
    """The tables with the date and the machine of the measurement."""
    when = datetime.now(UTC).date().isoformat()
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    python = platform.python_version()
    head = f"Measured {when} by `make bench` on {machine}, CPython {python}."
    return f"{head}\n\n{tables(rows, starts)}\n\n![The same as a plot](figures.png)\n"


def _figures(rows: Rows, starts: Mapping[str, float], is_whole: bool) -> Iterator[str]:
    yield "| figure | promised | measured | result |"
    yield "|---|---|---|---|"
    for figure in FIGURES:
        promised = f"| {figure.what} | <= {figure.most:g} {figure.unit}"
        try:
            value = figure.of(rows)
        except KeyError:
            if is_whole:
                yield f"{promised} | | **not measured** |"
            continue
        met = "met" if value <= figure.most else "**not met**"
        yield f"{promised} | {value:.2f} {figure.unit} | {met} |"
    for what, milliseconds in starts.items():
        met = "met" if milliseconds <= START_UP_MS else "**not met**"
        yield f"| {what} | <= {START_UP_MS} ms | {milliseconds:.1f} ms | {met} |"


def _rows(rows: Rows) -> Iterator[str]:
    yield "| work | client | ms | CPU ms | peak MB | images |"
    yield "|---|---|---|---|---|---|"
    with_images = _with_images(rows)
    for (job, client), row in rows.items():
        arrived = ""
        if job in with_images:
            arrived = f"{row.arrived / MEGABYTE:.0f} MB" if row.arrived else "**lost**"
        times = f"{1000 * row.seconds:.1f} | {1000 * row.cpu:.1f}"
        if math.isinf(row.seconds):
            times = "stopped | "
        yield f"| {job} | `{client}` | {times} | {row.peak / MEGABYTE:.0f} | {arrived} |"


def _with_images(rows: Rows) -> set[str]:
    """The jobs in which some client delivered an image; the other clients lost it."""
    return {job for (job, _), row in rows.items() if "image" in job and row.arrived}


def plot(rows: Rows, path: Path) -> None:
    """A bar chart per job, in seconds on a logarithmic scale; clients that lose images are red."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    with_images = _with_images(rows)
    rows = {key: row for key, row in rows.items() if math.isfinite(row.seconds)}
    jobs = [job for job in JOBS if len(job.clients) > 3 and (job.name, job.clients[0]) in rows]
    figure, axes = plt.subplots(len(jobs), 1, figsize=(8, 2.6 * len(jobs)), layout="constrained")
    for axis, job in zip(axes, jobs, strict=True):
        clients = [client for client in job.clients if (job.name, client) in rows][::-1]
        found = [rows[job.name, client] for client in clients]
        lost = [job.name in with_images and not row.arrived for row in found]
        bars = axis.barh(clients, [1000 * row.seconds for row in found])
        for bar, client, is_lost in zip(bars, clients, lost, strict=True):
            bar.set_color("#c8553d" if is_lost else "#2a6f97" if "emby" in client else "#adb5bd")
        axis.bar_label(bars, fmt="%.0f", padding=3, fontsize=8)
        axis.set_title(
            f"{job.name}: ms (red: the image is lost)" if any(lost) else f"{job.name}: ms"
        )
        axis.set_xscale("log")
        axis.margins(x=0.15)
    figure.savefig(path, dpi=110)
