"""A pull as the iteration over its events."""

from __future__ import annotations

import asyncio
from types import TracebackType

from . import _native
from ._asyncio import run
from ._home_data import Event
from ._image_data import ImagePullResult
from ._progress import told


class PullStream:
    """A pull, as the iteration over its events.

    It begins with the iteration or with `result()`. Leaving the iteration early leaves the pull under way: `aclose()`, or
    the end of `async with`, gives it up and waits until it has rolled back.
    """

    def __init__(self, operation: _native.Operation) -> None:
        """Wrap a pull; for the package itself."""
        self._operation = operation
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._task: asyncio.Task[ImagePullResult] | None = None

    def _begin(self) -> asyncio.Task[ImagePullResult]:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._pull())
        return self._task

    async def _pull(self) -> ImagePullResult:
        try:
            hear = told(self._events.put_nowait)
            return ImagePullResult.of(await run(self._operation, progress=hear))
        finally:
            self._events.put_nowait(None)

    def __aiter__(self) -> PullStream:
        """Return itself."""
        return self

    async def __anext__(self) -> Event:
        """Wait for the next event; raise what the pull failed with after the last one."""
        task = self._begin()
        event = None if task.done() and self._events.empty() else await self._events.get()
        if event is not None:
            return event
        await task
        raise StopAsyncIteration

    async def result(self) -> ImagePullResult:
        """Wait for the end of the pull. Cancelling this gives the pull up."""
        return await self._begin()

    async def aclose(self) -> None:
        """Give the pull up if it is under way, and wait until it has rolled back."""
        if self._task is None:
            self._operation.cancel()
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            # A failure that nobody asked for is nobody's.
            self._task.exception()

    async def __aenter__(self) -> PullStream:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the pull up if it is still under way."""
        await self.aclose()
