"""The handle to one box."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType

from . import _native
from ._asyncio import run
from ._box_data import BoxInfo, BoxMetrics, FileStat
from ._commands import STOP_TIMEOUT, copying, exec_spec
from ._error_codes import InvalidStateError, NotFoundError
from ._execution import Execution
from ._handle import Handle
from ._options import CopyOptions, Environment, StrPath
from ._streams import ByteReader, Logs


class Box(Handle[_native.Box]):
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

    async def info(self) -> BoxInfo:
        """Return what is known of the box now."""
        info = BoxInfo.of(await run(self._open().info()))
        self._name = info.name
        return info

    async def start(self, *, timeout: float | None = None) -> None:
        """Start the box, and its main command if it has one. Returns when commands can run in it.

        Cancelled, or after `timeout` seconds, nothing of it runs and the box is as it was.
        """
        await run(self._open().start(), timeout=timeout)

    async def start_attached(self, *, timeout: float | None = None) -> Execution:
        """Start the box, attached to its main command from its first byte of output on."""
        return Execution(await run(self._open().start_attached(), timeout=timeout, discard=_close))

    async def attach(self) -> Execution:
        """Attach to the main command: what it prints from now on comes here as well as into the log."""
        return Execution(await run(self._open().attach(), discard=_close))

    async def exec(
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
    ) -> Execution:
        """Run a command. Returns when it has begun; cancelled before, the command is killed.

        A box that was never started is started first, unless `start` is false. After `timeout_secs` the command and
        everything it started is killed. Stdin is connected unless `stdin` is false: a command that reads it to its end
        waits for `execution.stdin().close()`. A command with `detach` goes on in the box when nobody holds it any more.
        """
        spec = exec_spec(command, args, env, tty, user, timeout_secs, cwd, stdin, detach)
        native = self._open()
        try:
            return Execution(await run(native.exec(spec), discard=_close))
        except InvalidStateError:
            if not start or (await self.info()).state.status != "created":
                raise
        await self.start()
        return Execution(await run(native.exec(spec), discard=_close))

    async def detach(self) -> None:
        """Make the box one that outlives the process that starts it, from its next start on."""
        await run(self._open().detach())

    async def stop(self, timeout: float | None = None) -> None:
        """Stop the box: ask every process in it to end, and kill what is left after `timeout` seconds, 10 if `None`."""
        await run(self._open().stop(STOP_TIMEOUT if timeout is None else timeout))

    async def restart(self, timeout: float | None = None) -> None:
        """Stop the box if it runs, within `timeout` seconds, 10 if `None`, and start it."""
        await run(self._open().restart(STOP_TIMEOUT if timeout is None else timeout))

    async def kill(self) -> None:
        """Kill the box at once: what its commands had not written to its disk is lost."""
        await run(self._open().kill())

    async def signal(self, signal: int) -> None:
        """Send a signal to the process group of the main command, to which no one may be attached."""
        await run(self._open().signal(signal))

    async def wait(self, *, timeout: float | None = None) -> int:
        """Wait until the box has stopped; return its exit code: the main command's, 0 after a stop, 137 after a kill."""
        return int(await run(self._open().wait(), timeout=timeout))

    async def metrics(self) -> BoxMetrics:
        """Return what the box uses at this moment."""
        return BoxMetrics(**await run(self._open().metrics()))

    async def logs(self, *, follow: bool = False, tail: int | None = None) -> Logs:
        """Read what its main command printed, from the last `tail` lines on; with `follow`, until the box stops."""
        return Logs(await run(self._open().logs(follow, tail)))

    async def copy_in(
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
        await run(operation, timeout=timeout)

    async def copy_out(
        self,
        container_src: str,
        host_dest: StrPath,
        copy_options: CopyOptions | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        """Copy a file or directory of the box, which has to run, to the host, by the same rules."""
        operation = self._open().copy_out(container_src, os.fspath(host_dest), copying(copy_options))
        await run(operation, timeout=timeout)

    async def put_archive(
        self, directory: str, archive: bytes, copy_options: CopyOptions | None = None, *, timeout: float | None = None
    ) -> None:
        """Unpack a tar archive in an existing directory of the box."""
        await run(self._open().put_archive(directory, archive, copying(copy_options)), timeout=timeout)

    async def get_archive(self, path: str, copy_options: CopyOptions | None = None) -> ByteReader:
        """Pack a file or directory of the box as a tar archive, which streams."""
        return ByteReader(await run(self._open().get_archive(path, copying(copy_options))))

    async def stat(self, path: str, *, follow_symlinks: bool = False) -> FileStat:
        """Look up what is at an absolute path in the box."""
        return FileStat(**await run(self._open().stat(path, follow_symlinks)))

    async def remove(self, *, force: bool = False) -> None:
        """Remove the box and its disk; one that runs only if `force` is set, which kills it."""
        await run(self._open().remove(force))

    async def __aenter__(self) -> Box:
        """Start the box, unless it runs."""
        if (await self.info()).state.status != "running":
            await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the box; one that is removed with that is gone."""
        try:
            await self.stop()
        except NotFoundError:
            pass


def _close(native: _native.Execution) -> None:
    """Kill a command whose caller gave up."""
    native.close()
