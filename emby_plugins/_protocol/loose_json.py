"""Read JSON that is truncated, invalid, or too large to be parsed at once.

Lazy and iterative: only requested values become Python objects, so neither a million empty lists
nor a hundred thousand levels of nesting take memory. Everything before a truncation or a syntax
error is readable. `NaN`, lone surrogates and raw control characters are accepted.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

# The quantifiers are possessive: without backtracking, hostile input takes linear time.
_SPACE = re.compile(rb"[ \t\r\n]*+")
# Matches runs of small containers and short strings as a whole, so that a million empty lists cost
# little; only the quote of a longer string, for `_end_of_string`.
_STRUCTURE = re.compile(
    rb'(?:[\[{](?:"[^"\\]{0,256}+"|[^\[\]{}"])*+[\]}][\s,]*+)++'
    rb'|"[^"\\]{0,256}+"|(")|([\[{])|([\]}])'
)
_STRING, _OPENING = 1, 2
_SCALAR = re.compile(rb"(?:true|false|null|NaN|-?Infinity|-?[0-9][0-9eE.+-]*+)(?=[\s,\]}]|\Z)")
_WORDS = (b"true", b"false", b"null", b"NaN", b"Infinity", b"-Infinity")
# Complete tokens within a string. Never half an escape or half a surrogate pair.
_WINDOW = re.compile(
    rb"(?:[^\\]{1,1024}+"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|\\u[0-9a-fA-F]{4}|\\[^u]){1,64}+"
)
_ENDS_IN_HALF_A_PAIR = re.compile(rb"(?<!\\)(?:\\\\)*+\\u[dD][89abAB][0-9a-fA-F]{2}\Z")
_MAX_KEY = 64
_MAX_ENDS = 64
SMALL = 64 * 1024
"""The largest value, in bytes, that `Value.plain` turns into Python objects."""

_string = msgspec.json.Decoder(str)
_anything = msgspec.json.Decoder()


class Document:
    """A JSON document. `is_cut` and `is_broken` reflect what has been read so far."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.is_cut = False
        self.is_broken = False
        # A cache of the end positions of recent containers, each of which is needed repeatedly.
        self._ends: dict[int, int] = {}
        self.root = Value(self, self.after_space(0))

    def check_end(self) -> None:
        """Check that the root value is complete and nothing follows it."""
        end = self.end_of(self.root.start)
        if end >= 0 and self.after_space(end) < len(self.data):
            self.is_broken = True

    def after_space(self, at: int) -> int:
        """Return the position of the first non-space byte at or after `at`."""
        found = _SPACE.match(self.data, at)
        return found.end() if found else at

    def fail(self, at: int) -> None:
        """Record a syntax error at `at`, or a truncation if the document ends there."""
        if at >= len(self.data):
            self.is_cut = True
        else:
            self.is_broken = True

    def end_of(self, at: int) -> int:
        """Return the end position of the value that starts at `at`; -1 if it has none."""
        first = self.data[at : at + 1]
        if first == b'"':
            return self._end_of_string(at + 1)
        if first in (b"{", b"["):
            end = self._ends.get(at)
            if end is None:
                if len(self._ends) >= _MAX_ENDS:
                    self._ends.clear()
                end = self._ends[at] = self._end_of_container(at)
            return end
        scalar = _SCALAR.match(self.data, at)
        if scalar:
            return scalar.end()
        # The beginning of a word or a number at the end of the data is cut off, not wrong.
        rest = self.data[at : at + 10]
        is_cut = rest in (b"", b"-") or any(word.startswith(rest) for word in _WORDS)
        self.fail(len(self.data) if is_cut else at)
        return -1

    def _end_of_string(self, at: int) -> int:
        # `find` is much faster than a regular expression, and a large reply is mostly one string.
        data = self.data
        while (end := data.find(b'"', at)) >= 0:
            # A quote is escaped if an odd number of backslashes precedes it.
            start = end
            while data[start - 1] == 0x5C:
                start -= 1
            if (end - start) % 2 == 0:
                return end + 1
            at = end + 1
        self.is_cut = True
        return -1

    def _end_of_container(self, at: int) -> int:
        # A counter instead of a stack takes no memory; a wrong bracket is found when the value is
        # read.
        depth, at = 1, at + 1
        while at >= 0:
            for found in _STRUCTURE.finditer(self.data, at):
                kind = found.lastindex
                if kind is None:
                    continue
                if kind == _STRING:
                    # Skip the long string with `find`, then start a new search behind it.
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
    """A value of a `Document`, identified by its start position."""

    __slots__ = ("_document", "start")

    def __init__(self, document: Document, start: int) -> None:
        self._document = document
        self.start = start

    @property
    def kind(self) -> str:
        """The first character, such as `{`, `[`, `"`, `t` or a digit; empty at the end."""
        return self._document.data[self.start : self.start + 1].decode("latin-1")

    @property
    def is_null(self) -> bool:
        """Whether this is `null`."""
        return self._document.data.startswith(b"null", self.start)

    @property
    def is_empty(self) -> bool:
        """Whether the value is null, false, 0, or an empty string, list or object."""
        data, kind, at = self._document.data, self.kind, self.start + 1
        closing = {'"': b'"', "[": b"]", "{": b"}"}.get(kind)
        at = at if kind == '"' else self._document.after_space(at)
        return kind in "nf0" or (closing is not None and data[at : at + 1] == closing)

    @property
    def raw(self) -> bytes:
        """The JSON text of the value, up to the end of a truncated document."""
        end = self._document.end_of(self.start)
        return self._document.data[self.start : end if end >= 0 else None]

    @property
    def is_whole(self) -> bool:
        """Whether the value is complete."""
        return self._document.end_of(self.start) >= 0

    def members(self, *names: str) -> dict[str, "Value"]:
        """Return the named members of an object; other kinds of values have none."""
        return {name: value for name, value in self.all_members() if name in names}

    def all_members(self) -> "Iterator[tuple[str, Value]]":
        """Yield the members of an object, except those with keys over 64 bytes."""
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
            if end - at <= _MAX_KEY + 2:
                yield Value(document, at).text(), Value(document, value)
            at = self._next(value, b"}")
            if at < 0:
                return

    def items(self) -> "Iterator[Value]":
        """Yield the items of a list; other kinds of values have none."""
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
        """Return the start of the next member or item; -1 after the last, or on an error."""
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
        """Return a string, or the available part; invalid UTF-8 becomes U+FFFD."""
        return str(mended("".join(self.pieces())))

    def pieces(self) -> Iterator[str]:
        """Yield a string in pieces, which bounds the memory needed to repair an invalid one.

        Half of a surrogate pair is kept, as the other half may come in the next chunk.
        """
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
                window = window[:-6]  # the six characters of `\uD83D`; its other half was cut off
            text = utf8.decode(window, final=not is_cut and at == len(inside))
            lost += text.count("\ufffd")
            yield _unescaped(text)
        # More replacement characters than were sent: some bytes were not valid UTF-8.
        if lost != inside.count(b"\xef\xbf\xbd"):
            self._document.is_broken = True

    def plain(self) -> Any:
        """Return the value as Python objects; None if invalid or over `SMALL` bytes."""
        end = self._document.end_of(self.start)
        return parse_small(self._document.data[self.start : end]) if end >= 0 else None


def parse_small(raw: bytes, most: int = SMALL) -> Any:
    """Parse JSON into Python objects. Returns None if invalid or over `most` bytes."""
    if len(raw) > most:
        return None
    try:
        return _anything.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    # Slower, but takes what msgspec refuses: NaN, raw control characters, invalid UTF-8.
    try:
        return mended(json.loads(raw.decode("utf-8", "replace"), strict=False))
    except (ValueError, RecursionError):
        return None


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        # An invalid escape: return the piece unchanged.
        return text


def mended(value: Any) -> Any:
    """Return the value with lone surrogates replaced by U+FFFD, as `str` can't encode them."""
    if isinstance(value, str):
        # UTF-16, since there the two halves of a pair join into the character they encode.
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {mended(key): mended(item) for key, item in value.items()}
    if isinstance(value, list):
        return [mended(item) for item in value]
    return value
