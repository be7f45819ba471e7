# Generated from `_box.py` by tools/blocking.py; change it there.
"""The handle to one box."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType

from .. import _native
from .._blocking import run
from .._box_data import BoxInfo, BoxMetrics, FileStat
from .._commands import STOP_TIMEOUT, copying, exec_spec
from .._error_codes import InvalidStateError, NotFoundError
from .._handle import Handle
from .._options import CopyOptions, Environment, StrPath
from ._execution import SyncExecution
from ._streams import SyncByteReader, SyncLogs


class SyncBox(Handle[_native.Box]):
    """The handle to one box.

    It is a name, not a connection: it stays good across stops and starts, and any number of them may name one box. Once
    the box is removed its operations raise `NotFoundError`; once the runtime is shut down, `StoppedError`.
    """

    __slots__ = ("_name",)
    _what = "box"

    def __init__(self, native: _native.Box, name: str | None = None) -> None:
        """Wrap a native handle; for the package itself."""
        super().__init__(native)
        self._name = name

    @property
    def id(self) -> str:
        """The id."""
        return self._native.id

    @property
    def name(self) -> str | None:
        """The name, if this handle was made with it or has asked for it."""
        return self._name

    def info(self) -> BoxInfo:
        """Return what is known of the box now."""
        info = BoxInfo.of(run(self._open().info()))
        self._name = info.name
        return info

    def start(self, *, timeout: float | None = None) -> None:
        """Start the box, and its main command if it has one. Returns when commands can run in it.

        Cancelled, or after `timeout` seconds, nothing of it runs and the box is as it was.
        """
        run(self._open().start(), timeout=timeout)

    def start_attached(self, *, timeout: float | None = None) -> SyncExecution:
        """Start the box, attached to its main command from its first byte of output on."""
        return SyncExecution(run(self._open().start_attached(), timeout=timeout, discard=_close))

    def attach(self) -> SyncExecution:
        """Attach to the main command: what it prints from now on comes here as well as into the log."""
        return SyncExecution(run(self._open().attach(), discard=_close))

    def exec(
        self,
        command: str,
        args: Sequence[str] | None = None,
        env: Environment | None = None,
        tty: bool | tuple[int, int] = False,
        user: str | None = None,
        timeout_secs: float | None = None,
        cwd: str | None = None,
        *,
        stdin: bool | None = None,
        detach: bool = False,
        start: bool = True,
    ) -> SyncExecution:
        """Run a command. Returns when it has begun; cancelled before, the command is killed.

        A box that was never started is started first, unless `start` is false. After `timeout_secs` the command and
        everything it started is killed. Stdin is connected unless `stdin` is false: a command that reads it to its end
        waits for `execution.stdin().close()`. A command with `detach` goes on in the box when nobody holds it any more.
        """
        spec = exec_spec(command, args, env, tty, user, timeout_secs, cwd, stdin, detach)
        native = self._open()
        try:
            return SyncExecution(run(native.exec(spec), discard=_close))
        except InvalidStateError:
            if not start or (self.info()).state.status != "created":
                raise
        self.start()
        return SyncExecution(run(native.exec(spec), discard=_close))

    def detach(self) -> None:
        """Make the box one that outlives the process that starts it, from its next start on."""
        run(self._open().detach())

    def stop(self, timeout: float | None = None) -> None:
        """Stop the box: ask every process in it to end, and kill what is left after `timeout` seconds, 10 if `None`."""
        run(self._open().stop(STOP_TIMEOUT if timeout is None else timeout))

    def restart(self, timeout: float | None = None) -> None:
        """Stop the box if it runs, within `timeout` seconds, 10 if `None`, and start it."""
        run(self._open().restart(STOP_TIMEOUT if timeout is None else timeout))

    def kill(self) -> None:
        """Kill the box at once: what its commands had not written to its disk is lost."""
        run(self._open().kill())

    def signal(self, signal: int) -> None:
        """Send a signal to the process group of the main command, to which no one may be attached."""
        run(self._open().signal(signal))

    def wait(self, *, timeout: float | None = None) -> int:
        """Wait until the box has stopped; return its exit code: the main command's, 0 after a stop, 137 after a kill."""
        return int(run(self._open().wait(), timeout=timeout))

    def metrics(self) -> BoxMetrics:
        """Return what the box uses at this moment."""
        return BoxMetrics(**run(self._open().metrics()))

    def logs(self, *, follow: bool = False, tail: int | None = None) -> SyncLogs:
        """Read what its main command printed, from the last `tail` lines on; with `follow`, until the box stops."""
        return SyncLogs(run(self._open().logs(follow, tail)))

    def copy_in(
        self,
        host_path: StrPath,
        container_dest: str,
        copy_options: CopyOptions | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        """Copy a file or directory of the host into the box, which has to run.

        Where it lands follows `docker cp`: an existing directory takes the source under its name, anything else is the
        name itself; `directory/.` means the contents of `directory`.
        """
        operation = self._open().copy_in(os.fspath(host_path), container_dest, copying(copy_options))
        run(operation, timeout=timeout)

    def copy_out(
        self,
        container_src: str,
        host_dest: StrPath,
        copy_options: CopyOptions | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        """Copy a file or directory of the box, which has to run, to the host, by the same rules."""
        operation = self._open().copy_out(container_src, os.fspath(host_dest), copying(copy_options))
        run(operation, timeout=timeout)

    def put_archive(
        self, directory: str, archive: bytes, copy_options: CopyOptions | None = None, *, timeout: float | None = None
    ) -> None:
        """Unpack a tar archive in an existing directory of the box."""
        run(self._open().put_archive(directory, archive, copying(copy_options)), timeout=timeout)

    def get_archive(self, path: str, copy_options: CopyOptions | None = None) -> SyncByteReader:
        """Pack a file or directory of the box as a tar archive, which streams."""
        return SyncByteReader(run(self._open().get_archive(path, copying(copy_options))))

    def stat(self, path: str, *, follow_symlinks: bool = False) -> FileStat:
        """Look up what is at an absolute path in the box."""
        return FileStat(**run(self._open().stat(path, follow_symlinks)))

    def remove(self, *, force: bool = False) -> None:
        """Remove the box and its disk; one that runs only if `force` is set, which kills it."""
        run(self._open().remove(force))

    def __enter__(self) -> SyncBox:
        """Start the box, unless it runs."""
        if (self.info()).state.status != "running":
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the box; one that is removed with that is gone."""
        try:
            self.stop()
        except NotFoundError:
            pass


def _close(native: _native.Execution) -> None:
    """Kill a command whose caller gave up."""
    native.close()
