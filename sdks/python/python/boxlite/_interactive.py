"""A shell in a box, at this program's own terminal."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from ._box_data import ExitStatus
from ._error_codes import InvalidStateError
from ._execution import Execution
from ._runtime import Boxlite
from ._simple import SimpleBox


class InteractiveBox(SimpleBox):
    """A box with a shell that is connected to this program's stdin and stdout.

    `async with InteractiveBox("debian:12-slim") as box: await box.wait()` is a session. With a terminal, which is used if
    stdin is one and `tty` does not say otherwise, every key goes to the shell, Ctrl-C too, until it ends.
    """

    def __init__(
        self,
        image: str,
        shell: str = "/bin/sh",
        tty: bool | None = None,
        memory_mib: int | None = None,
        cpus: int | None = None,
        runtime: Boxlite | None = None,
        name: str | None = None,
        auto_remove: bool = True,
        **kwargs: Any,
    ) -> None:
        """Say what the box is to be; nothing is made yet."""
        super().__init__(
            image, memory_mib=memory_mib, cpus=cpus, runtime=runtime, name=name, auto_remove=auto_remove, **kwargs
        )
        self._shell = shell
        self._tty = sys.stdin.isatty() if tty is None else tty
        self._execution: Execution | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._sender: asyncio.Task[None] | None = None
        self._watched: int | None = None
        self._saved: list[Any] | None = None

    async def __aenter__(self) -> InteractiveBox:
        """Make and start the box, and start the shell at the terminal."""
        await self.start()
        try:
            await self._connect(asyncio.get_running_loop())
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        size = shutil.get_terminal_size()
        terminal = (size.lines, size.columns) if self._tty else False
        self._execution = await self._made().exec(self._shell, tty=terminal)
        if self._tty and sys.stdin.isatty():
            self._saved = termios.tcgetattr(sys.stdin)
            # Not the default, which throws away what was typed ahead.
            tty.setraw(sys.stdin, termios.TCSADRAIN)
            loop.add_signal_handler(signal.SIGWINCH, self._resized)
        self._tasks = [loop.create_task(self._show(stream, out)) for stream, out in self._outputs()]
        self._sender = loop.create_task(self._feed(self._reading(loop, sys.stdin.fileno())))

    async def wait(self) -> ExitStatus:
        """Wait until the shell has ended and everything it printed is shown."""
        if self._execution is None:
            raise InvalidStateError("the shell is not started", hint="use `async with`")
        await asyncio.gather(*self._tasks)
        return await self._execution.wait()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the shell, give the terminal back, stop the box."""
        loop = asyncio.get_running_loop()
        if self._watched is not None:
            loop.remove_reader(self._watched)
            self._watched = None
        if self._saved is not None:
            loop.remove_signal_handler(signal.SIGWINCH)
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._saved)
            self._saved = None
        tasks = [*self._tasks, self._sender] if self._sender is not None else self._tasks
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._execution is not None:
            self._execution.close()
        await self.stop()

    def _outputs(self) -> list[tuple[Any, Any]]:
        assert self._execution is not None
        return [(self._execution.stdout(), sys.stdout), (self._execution.stderr(), sys.stderr)]

    async def _show(self, stream: Any, out: Any) -> None:
        async for piece in stream.chunks():
            out.buffer.write(piece)
            out.flush()

    async def _feed(self, read: Callable[[], Awaitable[bytes]]) -> None:
        assert self._execution is not None
        stdin = self._execution.stdin()
        assert stdin is not None
        while data := await read():
            await stdin.send_input(data)
        await stdin.close()

    def _reading(self, loop: asyncio.AbstractEventLoop, descriptor: int) -> Callable[[], Awaitable[bytes]]:
        """Return what reads the next piece of this program's stdin, and nothing at its end."""
        pieces: asyncio.Queue[bytes] = asyncio.Queue()

        def readable() -> None:
            data = os.read(descriptor, 4096)
            pieces.put_nowait(data)
            if not data:
                loop.remove_reader(descriptor)

        try:
            loop.add_reader(descriptor, readable)
        except PermissionError:
            # A regular file, or `/dev/null`: nothing to watch, it can always be read, and soon.
            return lambda: loop.run_in_executor(None, os.read, descriptor, 4096)
        self._watched = descriptor
        return pieces.get

    def _resized(self) -> None:
        size = shutil.get_terminal_size()
        if self._execution is not None:
            self._resizing = asyncio.ensure_future(self._execution.resize_tty(size.lines, size.columns))
