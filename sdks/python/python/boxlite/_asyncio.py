"""Operations of the library as awaitables of asyncio.

The loop itself drives them: it watches a socket that becomes readable when one can go on. No other thread ever calls
into a loop, so a loop that is closed is left alone, and an operation that nobody awaits any more is simply given up.

Cancelling the task asks for the native work to be given up, and the `await` ends when that has rolled back, not before.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

from ._error import from_failure
from ._native import Failure, Notifier, Operation


class _Bridge:
    """The operations that one loop waits for. An open loop holds it, as it holds all whom it calls."""

    __slots__ = ("__weakref__", "next_key", "notifier", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.notifier = Notifier()
        self.waiting: dict[int, asyncio.Future[None]] = {}
        self.next_key = 0
        loop.add_reader(self.notifier.fileno(), self._ready)

    def _ready(self) -> None:
        for key in self.notifier.drain():
            waiter = self.waiting.get(key)
            if waiter is not None and not waiter.done():
                waiter.set_result(None)


#: Weak on both sides: what a bridge waits with holds the loop, and a loop that is closed would be here for ever.
_bridges: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[_Bridge]] = weakref.WeakKeyDictionary()


def _bridge(loop: asyncio.AbstractEventLoop) -> _Bridge:
    known = _bridges.get(loop)
    bridge = known() if known is not None else None
    if bridge is None:
        bridge = _Bridge(loop)
        _bridges[loop] = weakref.ref(bridge)
    return bridge


def check_timeout(timeout: float | None) -> None:
    """Refuse what is not a length of time."""
    if timeout is not None and not timeout >= 0:
        from ._error_codes import InvalidArgumentError

        raise InvalidArgumentError(f"a timeout of {timeout} s is not a length of time")


async def run(
    operation: Operation,
    *,
    timeout: float | None = None,
    progress: Callable[[Any], object] | None = None,
    discard: Callable[[Any], Awaitable[object] | object] | None = None,
) -> Any:
    """Begin an operation, and wait for its answer.

    After `timeout` seconds the native work is given up and, when it has rolled back, `TimeoutError` is raised. `progress`
    is called by the loop; what it raises gives the work up and is raised from here. A success that comes after the task
    was cancelled goes to `discard`.
    """
    check_timeout(timeout)
    loop = asyncio.get_running_loop()
    bridge = _bridge(loop)
    key = bridge.next_key
    bridge.next_key += 1
    if not operation.start(bridge.notifier, key) or progress is not None:
        raised = await _over(loop, bridge, key, operation, timeout, progress)
        if raised is not None:
            value = operation.result()
            if discard is not None and not isinstance(value, Failure):
                discarding = discard(value)
                if isinstance(discarding, Awaitable):
                    await discarding
            raise raised
    value = operation.result()
    if isinstance(value, Failure):
        raise from_failure(value)
    return value


async def _over(
    loop: asyncio.AbstractEventLoop,
    bridge: _Bridge,
    key: int,
    operation: Operation,
    timeout: float | None,
    progress: Callable[[Any], object] | None,
) -> BaseException | None:
    """Wait until the operation is over. Return what was raised in the meantime, which is for the caller to raise."""
    raised: BaseException | None = None
    timer = loop.call_later(timeout, operation.cancel, True) if timeout is not None else None
    try:
        while True:
            # Before anything is told: what becomes ready from here on settles this waiter.
            waiter = bridge.waiting[key] = loop.create_future()
            over = operation.done()
            if progress is not None:
                try:
                    for item in operation.take_progress():
                        progress(item)
                except BaseException as exception:
                    raised, progress = raised or exception, None
                    operation.cancel()
            if over:
                return raised
            try:
                await waiter
            except asyncio.CancelledError as cancelled:
                # Asked for; the answer is that the operation is over.
                raised = raised or cancelled
                operation.cancel()
    finally:
        del bridge.waiting[key]
        if timer is not None:
            timer.cancel()
