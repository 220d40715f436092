"""Text that arrives in pieces."""

from emby_plugins._protocol.loose_json import mended

_MANY = 4096


class Pieces(list[str]):
    """Text in pieces. Joined in blocks: a small `str` takes many times the memory of its text.

    A character beyond U+FFFF may be cut into the halves of its surrogate pair, as servers in
    JavaScript do: the first half waits for the piece that begins with the second.
    """

    __slots__ = ("_full", "_half")

    def __init__(self) -> None:
        self._full = _MANY
        self._half = ""

    def add(self, piece: str) -> str:
        """Add a piece; return what it adds to the text, in which no half is left."""
        if self._half or not piece.isascii():
            piece = self._pair(piece)
        self.append(piece)
        if len(self) >= self._full:
            # Only the pieces since the last join, so that each piece is copied once.
            first = self._full - _MANY
            self[first:] = ["".join(self[first:])]
            self._full += 1
        return piece

    def finish(self) -> str:
        """Add U+FFFD for an unpaired half of a surrogate pair; return it, or an empty string."""
        if not self._half:
            return ""
        self._half = ""
        return self.add("\ufffd")

    def _pair(self, piece: str) -> str:
        piece = self._half + piece
        self._half = piece[-1:] if "\ud800" <= piece[-1:] <= "\udbff" else ""
        return str(mended(piece[: len(piece) - len(self._half)]))
