# Generated from `_execution.py` by tools/blocking.py; change it there.
"""A command that runs in a box."""

from __future__ import annotations

from types import TracebackType

from .. import _native
from .._blocking import run
from .._box_data import ExitStatus, Output
from .._handle import CallableText, Handle
from ._streams import SyncExecStderr, SyncExecStdin, SyncExecStdout


class SyncExecution(Handle[_native.Execution]):
    """A command that runs in a box.

    Closed, or let go of together with its streams, before the command has ended, the command and everything it started is
    killed; the main command of a box is only let go of.
    """

    __slots__ = ("_stderr", "_stdin", "_stdout")
    _what = "execution"

    def __init__(self, native: _native.Execution) -> None:
        """Wrap a native execution; for the package itself."""
        super().__init__(native)
        self._stdin: SyncExecStdin | None = None
        self._stdout: SyncExecStdout | None = None
        self._stderr: SyncExecStderr | None = None

    @property
    def id(self) -> CallableText:
        """The id, unique among the commands of the box that run. `id()` gives it too, as in the published package."""
        return CallableText(self._native.id)

    @property
    def pid(self) -> int:
        """The process id inside the box."""
        return self._native.pid

    def stdin(self) -> SyncExecStdin | None:
        """Return stdin, the same object each time; `None` if it was not asked for."""
        native = self._open().take_stdin()
        if native is not None:
            self._stdin = SyncExecStdin(native)
        return self._stdin

    def stdout(self) -> SyncExecStdout | None:
        """Return stdout, the same object each time; `None` once `wait` or `output` has taken it."""
        native = self._open().take_stdout()
        if native is not None:
            self._stdout = SyncExecStdout(native)
        return self._stdout

    def stderr(self) -> SyncExecStderr | None:
        """Return stderr, the same object each time; `None` once `wait` or `output` has taken it."""
        native = self._open().take_stderr()
        if native is not None:
            self._stderr = SyncExecStderr(native)
        return self._stderr

    def wait(self, *, timeout: float | None = None) -> ExitStatus:
        """Wait for the end of the command. May be called again.

        Output that nobody asked for by now is thrown away; output that was asked for has to be read. `timeout` ends the
        waiting, not the command.
        """
        return ExitStatus.of(run(self._open().wait(), timeout=timeout))

    def output(self, *, timeout: float | None = None) -> Output:
        """Close stdin, collect everything that nobody asked for before, and wait for the end."""
        return self._communicate(b"", timeout)

    def _communicate(self, input_: bytes, timeout: float | None = None) -> Output:
        """Write the input while the output is collected: a command that prints much before it has read much needs both."""
        operation = self._open().output(input_)
        if self._stdin is not None:
            self._stdin.close()
        stdout, stderr, status = run(operation, timeout=timeout)
        return Output(stdout, stderr, ExitStatus.of(status))

    def signal(self, signal: int) -> None:
        """Send a signal to the process group of the command; one that has ended is left alone."""
        run(self._open().signal(signal))

    def kill(self) -> None:
        """Kill the whole process tree, whatever groups and sessions it made."""
        run(self._open().kill())

    def resize_tty(self, rows: int, cols: int) -> None:
        """Change the size of its terminal."""
        run(self._open().resize(rows, cols))

    def close(self) -> None:
        """Let go of the command, and of its streams; one that still runs is killed. May be called again."""
        super().close()
        for stream in (self._stdin, self._stdout, self._stderr):
            if stream is not None:
                stream._native.release()
        self._native.close()

    def __enter__(self) -> SyncExecution:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()
