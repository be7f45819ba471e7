"""How runtimes are opened, closed and let go of: what the asyncio and the blocking runtime have in common."""

from __future__ import annotations

import threading
import weakref
from types import TracebackType
from typing import Any, TypeVar

from . import _blocking, _exit
from ._error_codes import InvalidStateError, StoppedError
from ._native import Runtime as NativeRuntime
from ._options import Options

B = TypeVar("B", bound="Base")


class Base:
    """The open handle to a home.

    `images` is a plain attribute: the same object each time, and nothing happens when it is read.
    """

    __slots__ = ("__weakref__", "_finalizer", "_native", "images")

    _native: NativeRuntime
    _finalizer: weakref.finalize[[], Base]

    #: The runtime of the process, once somebody asked for it.
    _default: Base | None = None
    _default_lock = threading.Lock()

    def __init__(self, options: Options | None = None) -> None:
        """Open a home, making it if it does not exist. Takes milliseconds, on this thread."""
        self._adopt(_blocking.run(NativeRuntime.open((options or Options())._native())))

    def _adopt(self, native: NativeRuntime) -> None:
        set_once = object.__setattr__
        set_once(self, "_native", native)
        set_once(self, "images", self._image_handle(native))
        # Handles do not keep the runtime open: it closes with the last reference to this object.
        set_once(self, "_finalizer", weakref.finalize(self, native.close))
        self._finalizer.atexit = False
        _exit.runtimes.add(self)

    @staticmethod
    def _image_handle(native: NativeRuntime) -> Any:
        raise NotImplementedError

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: a runtime has nothing to set."""
        raise AttributeError(f"`{name}` of a runtime cannot be set")

    @classmethod
    def default(cls: type[B]) -> B:
        """Return the runtime of the process, opened with default options when there is none, or none any more."""
        with Base._default_lock:
            known = cls._known()
            if known is None:
                known = cls()
                cls._default = known
            return known

    @classmethod
    def init_default(cls, options: Options) -> None:
        """Open the runtime of the process with these options, before anybody asks for it."""
        with Base._default_lock:
            if cls._known() is not None:
                raise InvalidStateError("the runtime of the process is open already")
            cls._default = cls(options)

    @classmethod
    def _known(cls: type[B]) -> B | None:
        """Return the runtime of the process unless it was shut down. A forked child keeps its parent's, which says so."""
        known: B | None = cls.__dict__.get("_default")
        failure = None if known is None else known._native.check_open()
        return None if failure is not None and failure.code == StoppedError.code else known

    @property
    def home(self) -> str | None:
        """The home directory."""
        home = self._native.home()
        return None if home is None else str(home)

    @property
    def closed(self) -> bool:
        """Whether it was shut down, or belongs to another process."""
        return self._native.check_open() is not None

    def close(self) -> None:
        """Shut down with a deadline of two seconds, on this thread. May be called again."""
        self._native.close()

    def __enter__(self: B) -> B:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close."""
        self.close()
