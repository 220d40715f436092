"""The site generator's extension for docstrings; see `mkdocs.yml`."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

_spec = importlib.util.spec_from_file_location("s", Path(__file__).with_name("docs_strings.py"))
assert _spec
assert _spec.loader
_strings = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_strings)


class Sections(griffe.Extension):
    """Converts the sections of every docstring to Markdown."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Convert the docstrings of a package after all its signatures are loaded."""
        for obj in list(_objects(pkg)):
            if obj.docstring:
                obj.docstring.value = _strings.as_markdown(obj.docstring.value, _parameters(obj))


def _objects(obj: griffe.Object) -> Iterator[griffe.Object]:
    yield obj
    for member in obj.members.values():
        if not member.is_alias:
            yield from _objects(member)


def _parameters(obj: griffe.Object) -> dict[str, tuple[str, str]]:
    """The type and the default of each parameter, or of each field of a model class."""
    if isinstance(obj, griffe.Function):
        return {one.name: (str(one.annotation), str(one.default or "")) for one in obj.parameters}
    if not isinstance(obj, griffe.Class):
        return {}
    members = obj.all_members
    if "__init__" in members:
        init = members["__init__"]
        return _parameters(init.final_target if init.is_alias else init)
    fields = {}
    for name, member in members.items():
        if member.is_attribute and member.annotation:
            value = str(member.value or "")
            alias = re.search(r"\balias='(\w+)'", value)
            fields[alias[1] if alias else name] = (str(member.annotation), _default(value))
    return fields


def _default(value: str) -> str:
    """The default of a field, including pydantic's `Field(...)`."""
    if not value.startswith("Field("):
        return value
    found = re.search(r"\bdefault=([^,()]+)[,)]|Field\(([^,()=]+)[,)]", value)
    return (found[1] or found[2]) if found else ""
