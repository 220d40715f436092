"""Generate the documentation's quotes from the core, for `make docs`."""

import ast
import inspect
from collections.abc import Iterator

from emby_plugins import EmbyError, _errors as errors, _hookspecs as hookspecs


def error_tree() -> str:
    """The tree of errors, each with its built-in base class, if any."""
    return "\n".join(["", "```text", EmbyError.__name__, *_branches(EmbyError, ""), "```", ""])


def hook(name: str) -> str:
    """The exact signature of a hook."""
    specs = (node for node in ast.parse(inspect.getsource(hookspecs)).body)
    (spec,) = (node for node in specs if isinstance(node, ast.FunctionDef) and node.name == name)
    assert spec.returns
    signature = f"def {name}({ast.unparse(spec.args)}) -> {ast.unparse(spec.returns)}: ..."
    return "\n".join(["", "```python", signature.replace("'", '"'), "```", ""])


def _branches(error: type[EmbyError], before: str) -> Iterator[str]:
    children = [kind for kind in error.__subclasses__() if kind.__module__ == errors.__name__]
    for child in children:
        is_last = child is children[-1]
        also = [base.__name__ for base in child.__bases__ if base.__module__ == "builtins"]
        named = f"{before}{'└──' if is_last else '├──'} {child.__name__}"
        yield " ".join([named, *(f"({name})" for name in also)])
        yield from _branches(child, before + ("    " if is_last else "│   "))
