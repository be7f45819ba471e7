"""What the library says: plain data, copied, never changing.

Field names are those of the library's own types. Times are seconds since the Unix epoch. The constructors here are for the
package itself: `of` takes the dictionary that the native module makes of a value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: `bytes`, where a field of that name hides it.
Bytes = bytes


@dataclass(frozen=True)
class Platform:
    """What an image was built for. `str()` gives `os/architecture[/variant]`."""

    os: str
    #: Go's name of it, as `amd64`.
    architecture: str
    variant: str | None = None

    def __str__(self) -> str:
        """Return the platform as it is written."""
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True)
class ImageInfo:
    """One reference held in the store."""

    #: `host/repository:tag`, or `host/repository@digest`.
    reference: str
    repository: str
    #: Empty for a reference by digest.
    tag: str
    #: Manifest digest: the identity of the image for its platform.
    id: str
    config_digest: str
    platform: Platform
    #: When this reference was last set.
    cached_at: int
    last_used_at: int
    #: When the image was built, as its configuration says (RFC 3339).
    created: str | None
    #: What a pull of it transfers.
    size_bytes: int
    unpacked_bytes: int
    layer_count: int

    @property
    def size(self) -> int:
        """Same as `size_bytes`."""
        return self.size_bytes

    @staticmethod
    def of(fields: dict[str, Any]) -> ImageInfo:
        """Make one of what the native module says."""
        return ImageInfo(**{**fields, "platform": Platform(**fields["platform"])})


@dataclass(frozen=True)
class ImageConfig:
    """What an image tells a box about how it wants to be run."""

    entrypoint: list[str]
    command: list[str]
    #: As `NAME=value`.
    env: list[str]
    working_dir: str
    user: str
    stop_signal: str
    labels: dict[str, str]
    exposed_ports: list[str]
    volumes: list[str]


@dataclass(frozen=True)
class LayerInfo:
    """One layer of an image."""

    digest: str
    diff_id: str
    media_type: str
    size_bytes: int
    entries: int


@dataclass(frozen=True)
class ImageDetails(ImageInfo):
    """Everything known of one image."""

    #: Every reference that names it.
    references: list[str]
    config: ImageConfig
    #: Lowest first.
    layers: list[LayerInfo]
    #: The command of each step, with whether it made no layer.
    history: list[tuple[str, bool]]

    @staticmethod
    def of(fields: dict[str, Any]) -> ImageDetails:
        """Make one of what the native module says."""
        return ImageDetails(
            **{
                **fields,
                "platform": Platform(**fields["platform"]),
                "config": ImageConfig(**fields["config"]),
                "layers": [LayerInfo(**layer) for layer in fields["layers"]],
            }
        )


@dataclass(frozen=True)
class ImagePullResult:
    """What a finished pull gives back."""

    reference: str
    #: Manifest digest for the platform.
    id: str
    config_digest: str
    platform: Platform
    layer_count: int
    #: Whether every blob was held already.
    cached: bool
    #: Bytes this pull itself received from the registry.
    bytes_fetched: int

    @staticmethod
    def of(fields: dict[str, Any]) -> ImagePullResult:
        """Make one of what the native module says."""
        return ImagePullResult(**{**fields, "platform": Platform(**fields["platform"])})


@dataclass(frozen=True)
class RemovedImage:
    """What a removal did."""

    #: References that no longer name anything.
    untagged: list[str]
    #: Manifest digests of images of which nothing is left.
    deleted: list[str]
    bytes_freed: int


@dataclass(frozen=True)
class ImageUsage:
    """How much the images of a home are."""

    #: Number of distinct images.
    count: int
    #: Their compressed bytes.
    known_bytes: int
    #: There is no limit.
    limit: int | None = None


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
class RuntimeMetrics:
    """What a runtime has done since it was opened."""

    boxes_created_total: int
    boxes_failed_total: int
    #: Boxes of the home that run now, whoever started them.
    num_running_boxes: int
    total_commands_executed: int
    total_exec_errors: int


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
