# Generated from `_simple.py` by tools/blocking.py; change it there.
"""Boxes for those who only want to run something."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from .._box_data import BoxInfo, BoxMetrics, ExecResult
from .._error import BoxliteError
from .._error_codes import InvalidStateError, NotFoundError, TimeoutError, UnsupportedError
from .._options import BoxOptions, CopyOptions, Environment, StrPath
from ._box import SyncBox
from ._runtime import SyncBoxlite

S = TypeVar("S", bound="SyncSimpleBox")


class SyncSimpleBox:
    """A box that is made, started, used and removed with `async with`.

    Without a `runtime` it uses the one of the process. Further arguments are those of `BoxOptions`.
    """

    def __init__(
        self,
        image: str | None = None,
        rootfs_path: StrPath | None = None,
        memory_mib: int | None = None,
        cpus: int | None = None,
        runtime: SyncBoxlite | None = None,
        name: str | None = None,
        auto_remove: bool = True,
        reuse_existing: bool = False,
        **kwargs: Any,
    ) -> None:
        """Say what the box is to be; nothing is made yet."""
        self._options = BoxOptions(
            image=image,
            rootfs_path=rootfs_path,
            memory_mib=memory_mib,
            cpus=cpus,
            auto_remove=auto_remove,
            **kwargs,
        )
        self._runtime = runtime
        self._name = name
        self._reuse_existing = reuse_existing
        self._box: SyncBox | None = None
        self._created: bool | None = None

    @property
    def id(self) -> str:
        """The id of the box, once it is made."""
        return self._made().id

    @property
    def name(self) -> str | None:
        """The name it was given."""
        return self._name

    @property
    def created(self) -> bool | None:
        """Whether the box was made, and not found; `None` before the start."""
        return self._created

    def start(self: S) -> S:
        """Make the box, or find it with `reuse_existing`, and start it unless it runs.

        If that fails, a box that was made here is gone again with `auto_remove`, which is the default.
        """
        made = self._box is None
        if self._box is None:
            runtime = self._runtime if self._runtime is not None else SyncBoxlite.default()
            if self._reuse_existing:
                self._box, self._created = runtime.get_or_create(self._options, self._name)
            else:
                self._box, self._created = runtime.create(self._options, self._name), True
        try:
            if (self._box.info()).state.status != "running":
                self._box.start()
        except BaseException:
            if made and self._created and self._options.auto_remove:
                self._take_back(self._box)
            raise
        return self

    def exec(
        self,
        cmd: str,
        *args: str,
        env: dict[str, str] | None = None,
        user: str | None = None,
        timeout: float | None = None,
        cwd: str | None = None,
    ) -> ExecResult:
        """Run a command to its end, and return what it printed as text; bytes that are no UTF-8 become U+FFFD.

        After `timeout` seconds the command and everything it started is killed, and `TimeoutError` raised.
        """
        return self._run(cmd, list(args), env, user, timeout, cwd, b"")

    def copy_in(
        self, host_path: StrPath, container_dest: str, *, overwrite: bool = True, follow_symlinks: bool = False
    ) -> None:
        """Copy a file or directory of the host into the box, by the rules of `docker cp`."""
        options = CopyOptions(overwrite=overwrite, follow_symlinks=follow_symlinks)
        self._made().copy_in(host_path, container_dest, options)

    def copy_out(
        self, container_src: str, host_dest: StrPath, *, overwrite: bool = True, follow_symlinks: bool = False
    ) -> None:
        """Copy a file or directory of the box to the host, by the same rules."""
        options = CopyOptions(overwrite=overwrite, follow_symlinks=follow_symlinks)
        self._made().copy_out(container_src, host_dest, options)

    def info(self) -> BoxInfo:
        """Return what is known of the box now."""
        return self._made().info()

    def metrics(self) -> BoxMetrics:
        """Return what the box uses at this moment."""
        return self._made().metrics()

    def stop(self) -> None:
        """Stop the box; with `auto_remove`, which is the default, it is gone then."""
        if self._box is not None:
            try:
                self._box.stop()
            except NotFoundError:
                # Stopped and removed by itself.
                pass

    def shutdown(self) -> None:
        """Same as `stop()`."""
        self.stop()

    def __enter__(self: S) -> S:
        """Make and start the box."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the box."""
        self.stop()

    def _take_back(self, box: SyncBox) -> None:
        """Remove a box that never ran: it would not remove itself, and would keep its name."""
        self._box = self._created = None
        try:
            box.remove(force=True)
        except BoxliteError:
            # What the start failed with says more.
            pass

    def _made(self) -> SyncBox:
        if self._box is None:
            raise InvalidStateError("the box is not started", hint="use `async with`, or call `start()` first")
        return self._box

    def _run(
        self,
        cmd: str,
        args: list[str],
        env: Environment | None,
        user: str | None,
        timeout: float | None,
        cwd: str | None,
        stdin: bytes,
    ) -> ExecResult:
        execution = self._made().exec(cmd, args, env, False, user, timeout, cwd, stdin=bool(stdin))
        with execution:
            output = execution._communicate(stdin)
        if output.status.timed_out:
            raise TimeoutError(f"`{cmd}` did not end within {timeout} s and was killed", operation="box.exec")
        stdout, stderr = (data.decode("utf-8", "replace") for data in (output.stdout, output.stderr))
        return ExecResult(output.status.exit_code, stdout, stderr, output.status.error_message)


class SyncCodeBox(SyncSimpleBox):
    """A box that runs code, Python's by default."""

    def __init__(
        self,
        image: str = "python:slim",
        memory_mib: int | None = None,
        cpus: int | None = None,
        runtime: SyncBoxlite | None = None,
        *,
        interpreter: str = "python3",
        **kwargs: Any,
    ) -> None:
        """Say what the box is to be; `interpreter` is a program of the image that takes `-` for code on stdin."""
        super().__init__(image, memory_mib=memory_mib, cpus=cpus, runtime=runtime, **kwargs)
        self._interpreter = interpreter

    def run(self, code: str, timeout: float | None = None) -> str:
        """Run code, and return what it printed: stdout, then stderr. Each run is a process of its own.

        After `timeout` seconds it is killed, and `TimeoutError` raised.
        """
        result = self._run(self._interpreter, ["-"], None, None, timeout, None, code.encode() + b"\n")
        return result.stdout + result.stderr

    def run_script(self, script_path: StrPath) -> str:
        """Run a script of the host."""
        return self.run(Path(script_path).read_text())

    def install_package(self, package: str) -> str:
        """Raise `UnsupportedError`: boxes have no network to install anything from."""
        return self.install_packages(package)

    def install_packages(self, *packages: str) -> str:
        """Raise `UnsupportedError`: boxes have no network to install anything from."""
        raise UnsupportedError(
            f"{', '.join(packages) or 'packages'} cannot be installed: boxes have no network",
            operation="code_box.install_packages",
            hint="use an image that has them, or copy them in with `copy_in` and install from there",
        )
