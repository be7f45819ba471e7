"""Bytes as text and lines. No input and output here: the asyncio and the blocking streams share it.

Text is UTF-8, decoded piece by piece: a character that is cut by the end of a piece waits for the next one, and bytes that
are no UTF-8 become U+FFFD. Lines end at `\\n` alone and keep it; nothing else is changed.
"""

from __future__ import annotations

import codecs
from collections import deque

#: Largest piece that is read at once.
PIECE_BYTES = 1 << 18


class Decoder:
    """Text of pieces of bytes."""

    def __init__(self) -> None:
        """Begin at the beginning of a character."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, piece: bytes) -> str:
        """Return the text that `piece` completes; an empty piece is the end."""
        return self._decoder.decode(piece, final=not piece)


class Lines:
    """Lines of pieces of bytes."""

    def __init__(self) -> None:
        """Begin at the beginning of a line."""
        self._ready: deque[bytes] = deque()
        self._rest: list[bytes] = []

    def feed(self, piece: bytes) -> None:
        """Take a piece; an empty one is the end."""
        lines = piece.split(b"\n")
        last = lines.pop()
        for line in lines:
            self._rest.append(line)
            self._ready.append(b"".join(self._rest) + b"\n")
            self._rest.clear()
        if last:
            self._rest.append(last)
        elif not piece and self._rest:
            self._ready.append(b"".join(self._rest))
            self._rest.clear()

    def next(self) -> bytes | None:
        """Return the next whole line, if there is one."""
        return self._ready.popleft() if self._ready else None
