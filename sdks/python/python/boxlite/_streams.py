"""What comes and goes piece by piece, as asynchronous iterations.

Waiting for a piece can be cancelled at any point, and nothing is lost by it: the next call gets what had arrived.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, Protocol, TypeVar

from . import _native
from ._asyncio import run
from ._box_data import LogEntry
from ._home_data import Event
from ._text import PIECE_BYTES, Decoder, Lines


class _Readable(Protocol):
    def read(self, most: int, /) -> _native.Operation: ...
    def release(self) -> None: ...


class ByteReader:
    """Bytes from a box: read them as they come, or all at once."""

    def __init__(self, native: _Readable) -> None:
        """Wrap a native stream; for the package itself."""
        self._native = native
        # Pieces that arrived while their reader was being cancelled.
        self._kept = b""

    async def read(self, most: int = PIECE_BYTES) -> bytes:
        """Return some bytes as soon as there are some, at most so many; none at the end."""
        if self._kept:
            piece, self._kept = self._kept[:most], self._kept[most:]
            return piece
        piece = await run(self._native.read(most), discard=self._keep)
        return bytes(piece)

    async def read_all(self) -> bytes:
        """Return everything that is still to come."""
        pieces = []
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Iterate over the bytes, in pieces as they come."""
        while piece := await self.read():
            yield piece

    def close(self) -> None:
        """Let go of the stream: what is still to come is thrown away. May be called again."""
        self._native.release()

    def _keep(self, piece: bytes) -> None:
        self._kept += piece


class _Output(ByteReader):
    """The output of a command. `async for text in output` iterates over it as text.

    Text is UTF-8; bytes that are none become U+FFFD. `chunks()` and `read()` give it byte for byte, `lines()` line by line.
    Use one of them, not several.
    """

    def __init__(self, native: _Readable) -> None:
        """Wrap a native stream; for the package itself."""
        super().__init__(native)
        self._decoder = Decoder()
        self._ended = False

    def __aiter__(self) -> AsyncIterator[str]:
        """Return itself."""
        return self

    async def __anext__(self) -> str:
        """Return the next piece of text."""
        while not self._ended:
            piece = await self.read()
            self._ended = not piece
            text = self._decoder.feed(piece)
            if text:
                return text
        raise StopAsyncIteration

    async def lines(self) -> AsyncIterator[str]:
        r"""Iterate over the lines as text, each with its `\n`; the last one may have none."""
        async for line in self.byte_lines():
            yield line.decode("utf-8", "replace")

    async def byte_lines(self) -> AsyncIterator[bytes]:
        r"""Iterate over the lines as bytes, each with its `\n`; the last one may have none."""
        lines = Lines()
        while True:
            piece = await self.read()
            lines.feed(piece)
            while (line := lines.next()) is not None:
                yield line
            if not piece:
                return


class ExecStdout(_Output):
    """The stdout of a command; everything its terminal shows, if it has one."""


class ExecStderr(_Output):
    """The stderr of a command; empty if it has a terminal."""


class ExecStdin:
    """The stdin of a command."""

    def __init__(self, native: _native.Stdin) -> None:
        """Wrap a native stream; for the package itself."""
        self._native = native
        self._closed = False

    async def send_input(self, data: bytes | str) -> None:
        """Write all of it, text as UTF-8; return when it is taken. Cancelled, part of it may have been written."""
        await run(self._native.write(data.encode() if isinstance(data, str) else bytes(data)))

    async def write(self, data: bytes | str) -> None:
        """Same as `send_input`."""
        await self.send_input(data)

    async def close(self) -> None:
        """End the input. May be called again."""
        await run(self._native.close())
        self._closed = True

    def is_closed(self) -> bool:
        """Return whether the input was ended."""
        return self._closed


T = TypeVar("T")


class _Items(Generic[T]):
    """Items that come one by one."""

    def __init__(self, native: _native.Events | _native.Logs, make: Callable[[dict[str, Any]], T]) -> None:
        self._native = native
        self._make = make
        self._kept: list[dict[str, Any] | None] = []

    async def next(self) -> T | None:
        """Wait for the next one; `None` after the last one."""
        item = self._kept.pop(0) if self._kept else await run(self._native.next(), discard=self._kept.append)
        return None if item is None else self._make(item)

    def close(self) -> None:
        """Stop listening. May be called again."""
        self._native.release()

    def __aiter__(self) -> AsyncIterator[T]:
        """Return itself."""
        return self

    async def __anext__(self) -> T:
        """Wait for the next one."""
        item = await self.next()
        if item is None:
            raise StopAsyncIteration
        return item


class Events(_Items[Event]):
    """What happens in a runtime, from the moment this was made until the runtime is shut down.

    A listener that falls behind by more than 1,024 events loses the oldest ones.
    """

    def __init__(self, native: _native.Events) -> None:
        """Wrap a native stream; for the package itself."""
        super().__init__(native, Event.of)


class Logs(_Items[LogEntry]):
    """What the main command of a box printed, oldest piece first."""

    def __init__(self, native: _native.Logs) -> None:
        """Wrap a native stream; for the package itself."""
        super().__init__(native, lambda fields: LogEntry(**fields))
