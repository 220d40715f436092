"""Text that arrives in pieces."""

_MANY = 4096


class Pieces(list[str]):
    """Text in pieces. Joined in blocks: a small `str` takes many times the memory of its text."""

    __slots__ = ("_full",)

    def __init__(self) -> None:
        self._full = _MANY

    def add(self, piece: str) -> None:
        """Add a piece."""
        self.append(piece)
        if len(self) >= self._full:
            # Only the pieces since the last join, so that each piece is copied once.
            first = self._full - _MANY
            self[first:] = ["".join(self[first:])]
            self._full += 1
