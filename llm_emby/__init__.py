"""Emby for the `llm` command line: its models, with images in and out.

`llm` imports every plugin at every command, so this module imports nothing but the hooks; what
a hook needs is imported when it is called.

    models      the two model classes, sync and async, and which models there are
    options     what `-o` takes
    incoming    llm's messages become Emby's
    outgoing    Emby's replies become llm's events
    pictures    generated images: saved, noted in the log, found again
    complaints  Emby's errors become `llm.ModelError`s
"""

from collections.abc import Callable

import llm


@llm.hookimpl
def register_models(register: Callable[..., None]) -> None:
    """Register the models known without asking; the network is never touched here."""
    from llm_emby.models import all_models

    for model, async_model in all_models():
        register(model, async_model)
