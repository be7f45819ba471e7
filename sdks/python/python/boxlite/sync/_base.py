"""How blocking runtimes are opened, closed and let go of."""

from __future__ import annotations

from typing import TypeVar

from .. import _base

B = TypeVar("B", bound="Base")


class Base(_base.Base):
    """What a blocking runtime has besides the operations."""

    __slots__ = ()

    def start(self: B) -> B:
        """Return itself: a runtime is open from its construction on."""
        return self

    def stop(self) -> None:
        """Same as `close()`."""
        self.close()
