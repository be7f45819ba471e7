"""The arguments of `exec` and of the file operations, checked once for the asyncio and the blocking boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._error_codes import InvalidArgumentError
from ._options import Command, CopyOptions, Environment

#: Seconds a box may take to stop before it is killed, if the caller does not say.
STOP_TIMEOUT = 10.0


def exec_spec(
    command: str,
    args: Sequence[str] | None,
    env: Environment | None,
    tty: bool | tuple[int, int],
    user: str | None,
    timeout_secs: float | None,
    cwd: str | None,
    stdin: bool | None,
    detach: bool,
) -> dict[str, Any]:
    """Return what the native module takes. Stdin is connected unless the caller says otherwise, or nobody could write."""
    if not isinstance(command, str):
        raise InvalidArgumentError("`command` is the program, as a string; its arguments go into `args`")
    connected = not detach if stdin is None else stdin
    return Command([command, *(args or ())], env or (), cwd, user, tty, connected, timeout_secs, detach)._native()


def copying(
    copy_options: CopyOptions | None, overwrite: bool | None = None, follow_symlinks: bool | None = None
) -> dict[str, Any]:
    """Return what the native module takes."""
    options = copy_options or CopyOptions()
    fields = options._native()
    if overwrite is not None:
        fields["overwrite"] = overwrite
    if follow_symlinks is not None:
        fields["follow_symlinks"] = follow_symlinks
    return fields
