"""What the library says of homes and of what happens in them: plain data, copied, never changing.

Field names are those of the library's own types, times are seconds since the Unix epoch. `of` takes the dictionary that the
native module makes of a value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ._box_data import ExitStatus


@dataclass(frozen=True)
class UsageReport:
    """Disk space of a home, by what it is used for."""

    images: int
    blob_bytes: int
    layer_bytes: int
    partial_bytes: int
    boxes: int
    box_bytes: int
    machine_bytes: int
    #: Part of the above that removing all unused images would give back.
    reclaimable_bytes: int


@dataclass(frozen=True)
class RuntimeMetrics:
    """What a runtime has done since it was opened."""

    boxes_created_total: int
    boxes_failed_total: int
    #: Boxes of the home that run now, whoever started them.
    num_running_boxes: int
    total_commands_executed: int
    total_exec_errors: int


@dataclass(frozen=True)
class Finding:
    """One thing in a home that is not as it should be."""

    kind: str
    subject: str
    detail: str
    repaired: bool


@dataclass(frozen=True)
class CheckReport:
    """The result of an examination of a home."""

    examined: int
    bytes_hashed: int
    #: Empty for a sound home.
    findings: list[Finding]

    @staticmethod
    def of(fields: dict[str, Any]) -> CheckReport:
        """Make one of what the native module says."""
        return CheckReport(**{**fields, "findings": [Finding(**finding) for finding in fields["findings"]]})


@dataclass(frozen=True)
class DoctorCheck:
    """One thing boxes need, or profit from."""

    name: str
    ok: bool
    required: bool
    detail: str
    hint: str | None


@dataclass(frozen=True)
class DoctorReport:
    """Whether boxes can run on this host."""

    checks: list[DoctorCheck]

    @property
    def ready(self) -> bool:
        """Whether everything required is there."""
        return all(check.ok or not check.required for check in self.checks)

    @staticmethod
    def of(fields: dict[str, Any]) -> DoctorReport:
        """Make one of what the native module says."""
        return DoctorReport([DoctorCheck(**check) for check in fields["checks"]])


@dataclass(frozen=True)
class KernelInfo:
    """One guest kernel in the home."""

    release: str
    path: str
    size_bytes: int
    current: bool


@dataclass(frozen=True)
class Event:
    """Something that happened: in a runtime, or in a pull.

    `type` says what, as `box_created`, `exec_completed`, `pull`, or `layer_downloading`; the other fields are attributes,
    as `event.id` or `event.received_bytes`, and stand in `fields`.
    """

    type: str
    fields: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        """Return a field."""
        try:
            return self.__dict__["fields"][name]
        except KeyError:
            raise AttributeError(f"an event `{self.__dict__.get('type')}` has no field `{name}`") from None

    @staticmethod
    def of(fields: dict[str, Any]) -> Event:
        """Make one of what the native module says."""
        rest = {name: value for name, value in fields.items() if name != "type"}
        if isinstance(rest.get("event"), dict):
            rest["event"] = Event.of(rest["event"])
        if isinstance(rest.get("status"), dict):
            rest["status"] = ExitStatus.of(rest["status"])
        return Event(fields["type"], rest)
