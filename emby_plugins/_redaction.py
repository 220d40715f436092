"""Redacting the API key: a gateway may echo it, and errors quote gateways.

The one place that does so. Called at the edge of the client; nothing below it sees a key.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from os.path import commonprefix
from typing import Any

from emby_plugins._errors import EmbyError
from emby_plugins._images import Image
from emby_plugins._settings import Secret

_MARK = "[key]"
_MIN_PREFIX = 8
"""The shortest prefix of a key worth redacting: shorter ones, and shorter keys, are in any text."""


def redact(text: str, key: Secret) -> str:
    """Return the text without the key, or the beginning of it that a cut text ends with."""
    head = key.reveal()[:_MIN_PREFIX]
    if len(head) < _MIN_PREFIX or head not in text:
        return text
    first, *others = text.split(head)
    rest = key.reveal()[_MIN_PREFIX:]
    # As much of the key as follows its head, since a quotation may end anywhere in it.
    return first + "".join(
        _MARK + piece[len(commonprefix((piece, rest))) :]  # noqa: RUF071 - by character
        for piece in others
    )


def redact_error(error: EmbyError, key: Secret) -> None:
    """Take the key out of all that an error carries, and out of the errors that caused it.

    In `partial`, with content as text, only the whole key is replaced.
    """
    if len(key) < _MIN_PREFIX:
        return
    for name, value in vars(error).items():
        vars(error)[name] = _redact(value, key, is_cut=name != "partial")
    for cause in _chain(error):
        cause.args = _redact(cause.args, key, is_cut=True)


def _chain(error: BaseException) -> Iterator[BaseException]:
    # The links can form a cycle, when an error is raised again while being handled.
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        found = todo.pop()
        if found is not None and id(found) not in seen:
            seen.add(id(found))
            todo += (found.__cause__, found.__context__)
            yield found


def _redact(value: Any, key: Secret, *, is_cut: bool) -> Any:
    """Return a value with every text in it redacted; the value itself if none has the key."""
    if isinstance(value, str):
        return redact(value, key) if is_cut else value.replace(key.reveal(), _MARK)
    if isinstance(value, bytes):
        return value.replace(key.reveal().encode(), _MARK.encode())
    if isinstance(value, tuple | list):
        # Unchanged values stay the same objects, so that `is` shows whether to copy their owner.
        new = [_redact(item, key, is_cut=is_cut) for item in value]
        is_same = all(a is b for a, b in zip(new, value, strict=True))
        return value if is_same else type(value)(new)
    if isinstance(value, Mapping):
        return {
            _redact(name, key, is_cut=is_cut): _redact(item, key, is_cut=is_cut)
            for name, item in value.items()
        }
    if is_dataclass(value) and not isinstance(value, type):
        # The bytes of an image are content, and stay as received.
        names = ["provenance"] if isinstance(value, Image) else [f.name for f in fields(value)]
        old = {name: getattr(value, name) for name in names}
        changed = {name: _redact(item, key, is_cut=is_cut) for name, item in old.items()}
        changed = {name: item for name, item in changed.items() if item is not old[name]}
        return replace(value, **changed) if changed else value
    return value
