"""Tracebacks of our errors in a notebook: the frames of the reader's own code, not of libraries.

The traceback itself stays whole: for `logging`, for `%debug`, and for `%tb` after `%xmode Verbose`.
"""

import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

_PACKAGES = ("emby_plugins", "langchain_emby", "llm_emby")  # matter where they run from a clone
_INSTALLED = {"site-packages", "dist-packages"}
_STDLIB = Path(sysconfig.get_path("stdlib"))
_ALL_FRAMES = {"Verbose", "Docs"}


def render(error: BaseException) -> list[str]:
    """The lines that IPython shows for an error."""
    formatter: Any = sys.modules["IPython"].get_ipython().InteractiveTB
    own = None if formatter.mode in _ALL_FRAMES else _own_frames(error.__traceback__)
    # The message includes the cause; IPython would show each with all its frames.
    cause, error.__cause__ = error.__cause__, None
    try:
        if own is None:
            return list(formatter.structured_traceback(type(error), error, error.__traceback__))
        # The frame of IPython, which it leaves out itself, is not among ours.
        return list(formatter.structured_traceback(type(error), error, own, tb_offset=0))
    finally:
        error.__cause__ = cause


def _own_frames(traceback: TracebackType | None) -> TracebackType | None:
    own = None
    for entry in reversed(list(_walk(traceback))):
        if not _is_library(entry):
            own = TracebackType(own, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return own


def _walk(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _is_library(entry: TracebackType) -> bool:
    frame = entry.tb_frame
    path = Path(frame.f_code.co_filename)
    return (
        str(frame.f_globals.get("__name__", "")).partition(".")[0] in _PACKAGES
        or not _INSTALLED.isdisjoint(path.parts)
        or _STDLIB in path.parents
    )
