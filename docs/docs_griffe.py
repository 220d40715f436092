"""What the site's generator is told about docstrings: see `mkdocs.yml`."""

import importlib.util
from pathlib import Path
from typing import Any

import griffe

_spec = importlib.util.spec_from_file_location("s", Path(__file__).with_name("docs_strings.py"))
assert _spec
assert _spec.loader
_strings = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_strings)


class Sections(griffe.Extension):
    """Reads every docstring as Markdown, sections and all."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of one object, where it has one."""
        if obj.docstring:
            obj.docstring.value = _strings.as_markdown(obj.docstring.value)
