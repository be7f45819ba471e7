"""What the preparation of a home is told, and what it tells; for the asyncio and the blocking runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._options import BoxOptions

#: Hears of a stage when it begins (`None`), and when it is over (its seconds).
Stages = Callable[[str, "float | None"], object]


def resources(options: BoxOptions | None) -> dict[str, int]:
    """Return the resources that these options ask for."""
    return dict((options or BoxOptions())._native(None)["resources"])


def stages(progress: Stages | None) -> Callable[[Any], object] | None:
    """Return what hands a stage over."""
    return None if progress is None else lambda item: progress(item[0], item[1])
