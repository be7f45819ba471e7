"""What the library says of boxes and commands: plain data, copied, never changing.

Field names are those of the library's own types, times are seconds since the Unix epoch. `of` takes the dictionary that the
native module makes of a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: `bytes`, where a field of that name hides it.
Bytes = bytes


@dataclass(frozen=True)
class BoxStateInfo:
    """What a box is doing."""

    #: `created`, `starting`, `running`, `stopping` or `stopped`.
    status: str
    running: bool
    #: Process id of its supervisor, while it runs.
    pid: int | None
    #: Exit code of its main command, or of its machine, after it last stopped.
    exit_code: int | None

    def __str__(self) -> str:
        """Return the status."""
        return self.status


@dataclass(frozen=True)
class IsolationInfo:
    """What in truth isolates a running box."""

    engine: str
    accelerator: str
    #: Release of the guest's kernel.
    kernel: str
    #: What confines the machine on the host, each one in force.
    confinement: list[str]
    from_template: bool


@dataclass(frozen=True)
class BoxInfo:
    """One box."""

    id: str
    name: str | None
    image: str
    #: Manifest digest of its image.
    image_id: str
    state: BoxStateInfo
    created_at: int
    started_at: int | None
    stopped_at: int | None
    exit_code: int | None
    pid: int | None
    #: While it runs.
    isolation: IsolationInfo | None
    #: As it was asked for, in the field names of the library.
    spec: dict[str, Any]

    @property
    def cpus(self) -> int:
        """Virtual processors."""
        return int(self.spec["resources"]["cpus"])

    @property
    def memory_mib(self) -> int:
        """Memory in MiB."""
        return int(self.spec["resources"]["memory_mib"])

    @staticmethod
    def of(fields: dict[str, Any]) -> BoxInfo:
        """Make one of what the native module says."""
        status, isolation = fields["state"], fields["isolation"]
        state = BoxStateInfo(status, status == "running", fields["pid"], fields["exit_code"])
        return BoxInfo(**{**fields, "state": state, "isolation": None if isolation is None else IsolationInfo(**isolation)})


@dataclass(frozen=True)
class BoxMetrics:
    """What a running box uses at this moment."""

    #: Processor time used by the guest since it started, in microseconds.
    cpu_usec: int
    memory_used_bytes: int
    memory_total_bytes: int
    disk_used_bytes: int
    disk_total_bytes: int
    processes: int
    uptime_secs: int
    #: Proportional share of host memory taken by its machine.
    host_memory_bytes: int

    @property
    def memory_bytes(self) -> int:
        """Same as `memory_used_bytes`."""
        return self.memory_used_bytes


@dataclass(frozen=True)
class ExitStatus:
    """How a command ended."""

    #: Exit code, if it exited by itself.
    code: int | None
    #: Signal that ended it otherwise.
    signal: int | None
    oom_killed: bool
    timed_out: bool

    @property
    def exit_code(self) -> int:
        """The one number a shell would give: the exit code, or 128 + the signal."""
        return self.code if self.code is not None else 128 + (self.signal or 0)

    @property
    def error_message(self) -> str | None:
        """Why it did not exit by itself; `None` if it did."""
        if self.timed_out:
            return "the command did not end in time and was killed"
        if self.oom_killed:
            return "the command was killed for lack of memory"
        return None if self.signal is None else f"the command was ended by signal {self.signal}"

    @staticmethod
    def of(fields: dict[str, Any]) -> ExitStatus:
        """Make one of what the native module says."""
        return ExitStatus(**fields)


@dataclass(frozen=True)
class Output:
    """Everything a command printed, and how it ended."""

    stdout: bytes
    stderr: bytes
    status: ExitStatus


@dataclass(frozen=True)
class ExecResult:
    """What a command of a simple box did, as text."""

    exit_code: int
    stdout: str
    stderr: str
    error_message: str | None = None


@dataclass(frozen=True)
class FileStat:
    """What is at a path in a box."""

    #: Type and permissions, as `os.stat_result.st_mode`.
    mode: int
    size_bytes: int
    uid: int
    gid: int
    modified_ns: int
    #: Target, of a symbolic link.
    link_target: bytes | None


@dataclass(frozen=True)
class LogEntry:
    """A piece of the log of a box; pieces end where the command's writes did, not at lines."""

    #: When it was printed, in nanoseconds since the Unix epoch.
    at_ns: int
    #: `stdout` or `stderr`.
    source: str
    bytes: Bytes
