"""The end of the interpreter: every runtime is shut down while Python is still alive.

A runtime that nobody closed is closed here, with a short deadline, and threads that still wait for something native get
their answer and come back before the interpreter goes. What a killed process leaves behind, the next `open` cleans up.
"""

from __future__ import annotations

import atexit
import weakref
from typing import TYPE_CHECKING

from . import _native

if TYPE_CHECKING:
    from ._base import Base

#: Deadline, in seconds, of the shutdown of a runtime that nobody closed.
_TIMEOUT = 2.0

#: Runtimes of this process that may be open.
runtimes: weakref.WeakSet[Base] = weakref.WeakSet()


@atexit.register
def _leave() -> None:
    _native.leave([runtime._native for runtime in runtimes], _TIMEOUT)
