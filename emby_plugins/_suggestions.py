"""The right call for what was given instead: what an image argument or a name was meant to be."""

from collections.abc import Iterable
from difflib import get_close_matches


def suggest_image(value: object, *, name: str = "photo") -> str:
    """A sentence with the call that makes an `Image` of such a value; empty for any other value.

    Only looked at: nothing is opened, and neither Pillow nor NumPy is imported.
    """
    module = type(value).__module__.partition(".")[0]
    if isinstance(value, str):
        if value.startswith("data:"):
            return "Use Image.from_data_url(...)."
        if value.startswith(("https://", "http://")):
            return f"Use Image.from_url({value[:200]!r})."
        return f"Use Image.from_path({value[:200]!r})."
    if isinstance(value, bytes | bytearray | memoryview):
        return "Use Image.from_bytes(...)."
    if hasattr(value, "__fspath__"):
        return f"Use Image.from_path({str(value)[:200]!r})."
    if module == "PIL":
        return f"Use Image.from_pil({name})."
    if hasattr(value, "__array_interface__"):
        return f"Use Image.from_array({name})."
    if hasattr(value, "read"):
        return f"Use Image.from_bytes({name}.read())."
    return ""


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like `name`; empty if none is similar."""
    return next(iter(get_close_matches(name, known, n=1)), "")
