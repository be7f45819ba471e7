"""What every handle has in common: it can be closed, and says why it does nothing any more.

Closing a handle closes only that handle. A closed handle of an open runtime answers `InvalidStateError`; once the runtime
is shut down, closed or collected, every handle answers `StoppedError`, in a forked child `ForkedProcessError`.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from ._error import from_failure
from ._error_codes import InvalidStateError
from ._native import Failure


class _Checked(Protocol):
    def check_open(self) -> Failure | None: ...


N = TypeVar("N", bound=_Checked)


class CallableText(str):
    """Text that used to be asked for by a call."""

    __slots__ = ()

    def __call__(self) -> str:
        """Return it."""
        return str(self)


class Handle(Generic[N]):
    """A handle over a native one."""

    __slots__ = ("__weakref__", "_closed", "_native")

    #: What it is called in messages.
    _what = "handle"

    def __init__(self, native: N) -> None:
        """Wrap a native handle; for the package itself."""
        self._native = native
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether this handle was closed; the runtime may be, without this one."""
        return self._closed

    def close(self) -> None:
        """Close this handle. May be called again."""
        self._closed = True

    def _open(self) -> N:
        """Return the native handle, or say why it cannot be used."""
        if self._closed:
            failure = self._native.check_open()
            raise from_failure(failure) if failure else InvalidStateError(f"{self._what} handle is closed")
        return self._native
