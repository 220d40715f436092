"""Read JSON that is cut off, careless, or too large to be parsed at once.

Lazy and iterative: only what is asked for becomes a Python object, so neither a million empty
lists nor a hundred thousand levels of nesting take memory. What lies before a cut or a syntax
error can still be read. `NaN`, lone surrogates and raw control characters are accepted.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

_SPACE = re.compile(rb"[ \t\r\n]*+")
# Short strings are passed at once; a longer one is left to `_end_of_string`.
_STRUCTURE = re.compile(rb'"[^"\\]{0,256}+"|(")|([\[{])|([\]}])')
_STRING, _OPENING = 1, 2
_SCALAR = re.compile(rb"(?:true|false|null|NaN|-?Infinity|-?[0-9][0-9eE.+-]*+)(?=[\s,\]}]|\Z)")
_WORDS = (b"true", b"false", b"null", b"NaN", b"Infinity", b"-Infinity")
# Whole tokens of the inside of a string: never half of an escape, nor of a surrogate pair.
_WINDOW = re.compile(
    rb"(?:[^\\]{1,1024}+"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|\\u[0-9a-fA-F]{4}|\\[^u]){1,64}+"
)
_ENDS_IN_HALF_A_PAIR = re.compile(rb"(?<!\\)(?:\\\\)*+\\u[dD][89abAB][0-9a-fA-F]{2}\Z")
_LONGEST_KEY = 64
_MOST_ENDS = 64
SMALL = 64 * 1024
"""The largest value, in bytes, that `Value.plain` makes Python objects of."""

_string = msgspec.json.Decoder(str)
_anything = msgspec.json.Decoder()


class Document:
    """A JSON text. `is_cut` and `is_broken` tell what reading it has met so far."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.is_cut = False
        self.is_broken = False
        # Where the containers end that were passed last: each is asked for several times.
        self._ends: dict[int, int] = {}
        self.root = Value(self, self.after_space(0))

    def check_end(self) -> None:
        """Note whether the root value is followed by anything else, or is not whole."""
        end = self.end_of(self.root.start)
        if end >= 0 and self.after_space(end) < len(self.data):
            self.is_broken = True

    def after_space(self, at: int) -> int:
        """Return the position of the first byte from `at` on that is not white space."""
        found = _SPACE.match(self.data, at)
        return found.end() if found else at

    def fail(self, at: int) -> None:
        """Note that what stands at `at` is not JSON, or that the text ends there."""
        if at >= len(self.data):
            self.is_cut = True
        else:
            self.is_broken = True

    def end_of(self, at: int) -> int:
        """Return the position after the value that begins at `at`; -1 if it has no end."""
        first = self.data[at : at + 1]
        if first == b'"':
            return self._end_of_string(at + 1)
        if first in (b"{", b"["):
            end = self._ends.get(at)
            if end is None:
                if len(self._ends) >= _MOST_ENDS:
                    self._ends.clear()
                end = self._ends[at] = self._end_of_container(at)
            return end
        scalar = _SCALAR.match(self.data, at)
        if scalar:
            return scalar.end()
        rest = self.data[at : at + 10]
        is_cut = rest in (b"", b"-") or any(word.startswith(rest) for word in _WORDS)
        self.fail(len(self.data) if is_cut else at)
        return -1

    def _end_of_string(self, at: int) -> int:
        # Far quicker than an expression: nearly all of a large reply is one long string.
        data = self.data
        while (end := data.find(b'"', at)) >= 0:
            start = end
            while data[start - 1] == 0x5C:
                start -= 1
            if (end - start) % 2 == 0:
                return end + 1
            at = end + 1
        self.is_cut = True
        return -1

    def _end_of_container(self, at: int) -> int:
        depth = 0
        while at >= 0:
            for found in _STRUCTURE.finditer(self.data, at):
                kind = found.lastindex
                if kind is None:
                    continue
                if kind == _STRING:
                    at = self._end_of_string(found.end())
                    break
                depth += 1 if kind == _OPENING else -1
                if not depth:
                    return found.end()
            else:
                self.is_cut = True
                return -1
        return -1


class Value:
    """A value of a `Document`, by the place where it begins."""

    __slots__ = ("_document", "start")

    def __init__(self, document: Document, start: int) -> None:
        self._document = document
        self.start = start

    @property
    def kind(self) -> str:
        """The first character: `{`, `[`, `"`, that of a number or a word, or nothing."""
        return self._document.data[self.start : self.start + 1].decode("latin-1")

    @property
    def is_null(self) -> bool:
        """Whether this is `null`."""
        return self._document.data.startswith(b"null", self.start)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it: null, false, 0, an empty string, list or object."""
        return self.kind in "nf0" or self._ends_at_once()

    def _ends_at_once(self) -> bool:
        data = self._document.data
        closing = {b'"': b'"', b"[": b"]", b"{": b"}"}.get(data[self.start : self.start + 1])
        at = self.start + 1 if closing == b'"' else self._document.after_space(self.start + 1)
        return closing is not None and data[at : at + 1] == closing

    @property
    def raw(self) -> bytes:
        """The JSON text of the value, as far as it goes."""
        end = self._document.end_of(self.start)
        return self._document.data[self.start : end if end >= 0 else None]

    @property
    def is_whole(self) -> bool:
        """Whether the value ends within the text."""
        return self._document.end_of(self.start) >= 0

    def members(self, *names: str) -> dict[str, "Value"]:
        """Return the members of these names of an object; there are none in anything else."""
        return {name: value for name, value in self.all_members() if name in names}

    def all_members(self) -> "Iterator[tuple[str, Value]]":
        """Return the members of an object one by one, but for those with keys over 64 bytes."""
        document = self._document
        data, at = document.data, document.after_space(self.start + 1)
        if self.kind != "{" or data[at : at + 1] == b"}":
            return
        while True:
            if data[at : at + 1] != b'"':
                document.fail(at)
                return
            end = document.end_of(at)
            if end < 0:
                return
            colon = document.after_space(end)
            if data[colon : colon + 1] != b":":
                document.fail(colon)
                return
            value = document.after_space(colon + 1)
            if value >= len(data):
                document.fail(value)
                return
            if end - at <= _LONGEST_KEY + 2:
                yield Value(document, at).text(), Value(document, value)
            at = self._next(value, b"}")
            if at < 0:
                return

    def items(self) -> "Iterator[Value]":
        """Return the items of a list, one by one; there are none in anything else."""
        document = self._document
        data, at = document.data, document.after_space(self.start + 1)
        if self.kind != "[" or data[at : at + 1] == b"]":
            return
        while at >= 0:
            if at >= len(data):
                document.fail(at)
                return
            yield Value(document, at)
            at = self._next(at, b"]")

    def _next(self, at: int, closing: bytes) -> int:
        """Return where the next member or item begins; -1 after the last one, and at a fault."""
        document = self._document
        end = document.end_of(at)
        if end < 0:
            return -1
        end = document.after_space(end)
        byte = document.data[end : end + 1]
        if byte == b",":
            return document.after_space(end + 1)
        if byte != closing:
            document.fail(end)
        return -1

    @property
    def size(self) -> int:
        """The length of the JSON text of the value, in bytes."""
        end = self._document.end_of(self.start)
        return (end if end >= 0 else len(self._document.data)) - self.start

    def text(self) -> str:
        """Return a string, as far as it goes; bytes that are not UTF-8 become U+FFFD."""
        return "".join(self.pieces())

    def pieces(self) -> Iterator[str]:
        """Return a string in pieces, so that a damaged one takes no more memory than it has to."""
        end = self._document.end_of(self.start)
        inside = self._document.data[self.start + 1 : end - 1 if end >= 0 else None]
        try:
            yield _string.decode(b'"%b"' % inside)
        except (msgspec.DecodeError, UnicodeDecodeError):
            yield from self._windows(inside, is_cut=end < 0)

    def _windows(self, inside: bytes, *, is_cut: bool) -> Iterator[str]:
        utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        at = lost = 0
        while found := _WINDOW.match(inside, at):
            at = found.end()
            window = found[0]
            if is_cut and at >= len(inside) - 5 and _ENDS_IN_HALF_A_PAIR.search(window):
                window = window[:-6]
            text = utf8.decode(window, final=not is_cut and at == len(inside))
            lost += text.count("\ufffd")
            yield _unescaped(text)
        # A replacement character that was not sent stands for bytes that can't be read.
        if lost != inside.count(b"\xef\xbf\xbd"):
            self._document.is_broken = True

    def plain(self) -> Any:
        """Return a small value as Python objects; None for one over `SMALL` bytes, or broken."""
        end = self._document.end_of(self.start)
        return parse_small(self._document.data[self.start : end]) if end >= 0 else None


def parse_small(raw: bytes, most: int = SMALL) -> Any:
    """Return a JSON text as Python objects; None for one over `most` bytes, or broken."""
    if len(raw) > most:
        return None
    try:
        return _anything.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return mended(json.loads(raw.decode("utf-8", "replace"), strict=False))
    except (ValueError, RecursionError):
        return None


def _unescaped(text: str) -> str:
    try:
        return str(mended(json.loads(f'"{text}"', strict=False)))
    except ValueError:
        # An escape that JSON does not have: leave the piece as it is.
        return text


def mended(value: Any) -> Any:
    """Return the same value, each lone surrogate replaced by U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {mended(key): mended(item) for key, item in value.items()}
    if isinstance(value, list):
        return [mended(item) for item in value]
    return value
