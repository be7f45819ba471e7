"""A pull as the iteration over its events."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Any

from .. import _native
from .._blocking import is_main_thread, run
from .._error import BoxliteError
from .._error_codes import InvalidStateError
from .._home_data import Event
from .._image_data import ImagePullResult


class SyncPullStream:
    """A pull, as the iteration over its events.

    It begins with the iteration or with `result()`. Leaving the iteration early leaves the pull under way: `close()`, or the
    end of `with`, gives it up and waits until it has rolled back.
    """

    def __init__(self, operation: _native.Operation) -> None:
        """Wrap a pull; for the package itself."""
        self._operation = operation
        self._events: deque[Event] = deque()
        self._result: ImagePullResult | None = None
        self._ended = False

    def __iter__(self) -> SyncPullStream:
        """Return itself."""
        return self

    def __next__(self) -> Event:
        """Wait for the next event; raise what the pull failed with after the last one."""
        while not self._events:
            if self._ended:
                raise StopIteration
            if self._operation.wait(None, is_main_thread()):
                self._take()
                if not self._events:
                    self._end()
            else:
                self._take()
        return self._events.popleft()

    def result(self) -> ImagePullResult:
        """Wait for the end of the pull."""
        if not self._ended:
            self._end()
        if self._result is None:
            raise InvalidStateError("the pull was given up, or its failure was raised before")
        return self._result

    def close(self) -> None:
        """Give the pull up if it is under way, and wait until it has rolled back."""
        if not self._ended:
            self._operation.cancel()
            try:
                self._end()
            except BoxliteError:
                # Given up, as was asked for; or failed, which nobody is there to hear of.
                pass

    def __enter__(self) -> SyncPullStream:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the pull up if it is still under way."""
        self.close()

    def _take(self) -> None:
        self._events.extend(Event.of(fields) for fields in self._operation.take_progress())

    def _end(self) -> None:
        try:
            self._result = ImagePullResult.of(run(self._operation, progress=self._hear))
        finally:
            self._ended = True

    def _hear(self, fields: dict[str, Any]) -> None:
        self._events.append(Event.of(fields))
