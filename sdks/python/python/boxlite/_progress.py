"""The events of a pull on their way to whoever listens; for the asyncio and the blocking image handle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._home_data import Event

#: Hears of the events of a pull, in the thread that awaits it.
Progress = Callable[[Event], object]


def told(progress: Progress | None) -> Callable[[Any], object] | None:
    """Return what makes an event of what the native module tells."""
    return None if progress is None else lambda fields: progress(Event.of(fields))
