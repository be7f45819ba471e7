"""Operations of the library for threads that wait.

The thread that calls waits itself, without the interpreter's lock: no loop and no other thread is involved, so this works
inside a running loop, in any thread, and next to any event framework.

Ctrl-C asks for the native work to be given up; `KeyboardInterrupt` is raised when that has rolled back. A second Ctrl-C
does not wait for that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ._asyncio import check_timeout
from ._error import from_failure
from ._native import Failure, Operation


def is_main_thread() -> bool:
    """Return whether this thread is the one that handles signals."""
    return threading.current_thread() is threading.main_thread()


def run(
    operation: Operation,
    *,
    timeout: float | None = None,
    progress: Callable[[Any], object] | None = None,
    discard: Callable[[Any], object] | None = None,
) -> Any:
    """Carry an operation out, and return its answer.

    After `timeout` seconds the native work is given up and, when it has rolled back, `TimeoutError` is raised. `progress`
    is called by this thread; what it raises gives the work up and is raised from here. A success that comes after that, or
    after Ctrl-C, goes to `discard`.
    """
    check_timeout(timeout)
    deadline = None if timeout is None else time.monotonic() + timeout
    signals = is_main_thread()
    try:
        over = False
        while not over:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            over = operation.wait(left, signals)
            # Also if nobody listens: an operation that has something to tell does not wait.
            for item in operation.take_progress():
                if progress is not None:
                    progress(item)
            if not over and left is not None and deadline is not None and time.monotonic() >= deadline:
                deadline = None
                operation.cancel(True)
    except BaseException:
        operation.cancel()
        while not operation.wait(None, signals):
            operation.take_progress()
        value = operation.result()
        if discard is not None and not isinstance(value, Failure):
            discard(value)
        raise
    value = operation.result()
    if isinstance(value, Failure):
        raise from_failure(value)
    return value
