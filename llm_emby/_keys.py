"""Find the API key and its source by `llm`'s rules."""

import os
from pathlib import Path

import llm

VARIABLE = "EMBY_API_KEY"


def find_key(given: str | None) -> str:
    """Return the key that a prompt would use; empty if there is none.

    `given` is the value of `--key`: a key, or the name of one that `llm` has stored. Raises
    `OSError` or `ValueError` if `llm`'s key file can't be read.
    """
    return llm.get_key(explicit_key=given, key_alias="emby", env_var=VARIABLE) or ""


def key_source(key: str, given: str | None = None) -> str:
    """Describe the source of a key. Raises as `find_key` does."""
    stored = llm.load_keys()  # type: ignore[no-untyped-call]
    variable = os.environ.get(VARIABLE)
    if given in stored:
        return f"--key, the name of llm's stored key {given!r}"
    if given:
        return "--key"
    if stored.get("emby") == key and key:
        source = f"llm's stored key 'emby' (in {keys_path()})"
        if variable and variable != key:
            source += f"; {VARIABLE} is also set, but llm prefers its stored key"
        return source
    if variable == key and key:
        return f"the environment variable {VARIABLE}"
    return "--key" if key else f"none: neither llm's stored key 'emby' nor {VARIABLE} is set"


def keys_path() -> Path:
    """The file in which `llm` stores keys."""
    return Path(llm.user_dir()) / "keys.json"  # type: ignore[no-untyped-call]
