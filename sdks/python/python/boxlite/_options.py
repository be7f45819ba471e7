"""What a caller asks for: options of runtimes, boxes, commands and copies, all with defaults.

Published parameters that this version cannot honour are accepted by name and refused with `UnsupportedError` as soon as
they ask for something, never ignored.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Union

from ._error_codes import InvalidArgumentError, UnsupportedError

#: A path of the host.
StrPath = Union[str, "os.PathLike[str]"]

#: Names with values, as a mapping or as pairs.
Environment = Mapping[str, str] | Iterable[tuple[str, str]]

#: Image of a box that names none.
DEFAULT_IMAGE = "alpine:latest"

Accelerator = Literal["fastest", "kvm", "tcg"]

#: When a pull asks the registry: every time, only if the reference is not held, or never.
PullPolicy = Literal["always", "missing", "never"]


@dataclass(frozen=True)
class ImageRegistry:
    """What is known of one registry."""

    #: With the port, if it is not the usual one.
    host: str
    #: `http` only because it is asked for; a registry on loopback may do without.
    transport: str = "https"
    #: Accept any certificate.
    skip_verify: bool = False
    #: Look up names without a host here, in the order of the list.
    search: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    bearer_token: str | None = field(default=None, repr=False)
    #: PEM file of certificate authorities trusted for this host besides the system's.
    ca_file: StrPath | None = None

    def _native(self) -> dict[str, Any]:
        return {**self.__dict__, "ca_file": _path(self.ca_file)}


@dataclass(frozen=True)
class Options:
    """How a runtime is opened."""

    #: `$BOXLITE_HOME` if `None`, and `~/.boxlite` without that.
    home_dir: StrPath | None = None
    image_registries: Sequence[ImageRegistry] = ()
    #: What runs the guests: the fastest that is proven to work, hardware virtualisation, or software emulation.
    accelerator: Accelerator = "fastest"
    #: Keeps one machine ready for the next start, from the first start of a box on, for boxes of the same
    #: image and size that are not detached; `Boxlite.prepare` waits until it is ready. Without hardware
    #: virtualisation a start then takes a quarter to half of the time, for the memory of one more idle box and, after
    #: each start, half a second of a processor.
    spare_machine: bool = False
    #: `qemu-system-<architecture>` on the `PATH` if `None`.
    qemu: StrPath | None = None
    #: Release of the guest kernel; the one installed last if `None`.
    kernel: str | None = None
    #: A docker `config.json`, for credentials; `$DOCKER_CONFIG/config.json` or `~/.docker/config.json` if `None`.
    docker_config: StrPath | None = None
    #: Seconds to wait for a connection to a registry; 15 if `None`.
    connect_timeout: float | None = None
    #: Seconds a response may go without a byte; 30 if `None`.
    stall_timeout: float | None = None
    #: Attempts at a request, the first included; 5 if `None`.
    retry_attempts: int | None = None
    #: Seconds before the second attempt, doubled for each one after it; 0.2 if `None`.
    retry_delay: float | None = None

    def _native(self) -> dict[str, Any]:
        return {
            "home_dir": _path(self.home_dir),
            "image_registries": [registry._native() for registry in self.image_registries],
            "accelerator": self.accelerator,
            "spare_machine": self.spare_machine,
            "qemu": _path(self.qemu),
            "kernel": self.kernel,
            "docker_config": _path(self.docker_config),
            "connect_timeout_secs": self.connect_timeout,
            "stall_timeout_secs": self.stall_timeout,
            "retry_attempts": self.retry_attempts,
            "retry_delay_secs": self.retry_delay,
        }


@dataclass(frozen=True)
class CopyOptions:
    """How files are copied. Copies are always recursive."""

    recursive: bool = True
    #: Whether a file that exists is replaced; otherwise the first one fails the copy with `AlreadyExistsError`.
    overwrite: bool = True
    #: Whether a symbolic link that is named as the source is copied as what it points to.
    follow_symlinks: bool = False
    #: Into a box: who gets everything, as `(uid, gid)`; `None` keeps the numbers of the source.
    owner: tuple[int, int] | None = (0, 0)

    def _native(self) -> dict[str, Any]:
        if not self.recursive:
            raise UnsupportedError("a copy cannot leave out what is in a directory: `recursive` is always true")
        return {"overwrite": self.overwrite, "follow_symlinks": self.follow_symlinks, "owner": self.owner}


@dataclass(frozen=True)
class Command:
    """A command for a box: its main command, run at each start."""

    #: Program and arguments; those of the image if empty.
    args: Sequence[str] = ()
    env: Environment = ()
    cwd: str | None = None
    #: `user[:group]` by name or number.
    user: str | None = None
    #: A terminal: `True` for 24 rows of 80 columns, or `(rows, columns)`.
    tty: bool | tuple[int, int] = False
    #: Whether stdin is connected; otherwise it reads as empty.
    stdin: bool = False
    #: Seconds after which the whole process tree is killed.
    timeout: float | None = None
    #: Lets a command other than the main one go on when nobody holds it any more.
    detach: bool = False

    def _native(self) -> dict[str, Any]:
        size = (24, 80) if self.tty is True else self.tty
        return {
            "argv": _strings("args", self.args),
            "env": dict(_pairs("env", self.env)),
            "cwd": self.cwd,
            "user": self.user,
            "tty": {"rows": size[0], "columns": size[1]} if size else None,
            "stdin": self.stdin,
            "timeout_ms": None if self.timeout is None else _milliseconds(self.timeout),
            "detach": self.detach,
        }


@dataclass(frozen=True)
class BoxOptions:
    """What a box is wanted to be."""

    #: Pulled when the box is made, unless it is held.
    image: str | None = None
    rootfs_path: StrPath | None = None
    #: 1 to 16; 1 if `None`.
    cpus: int | None = None
    #: 128 to 65536; 1024 if `None`. Taken from the host only as the box touches it.
    memory_mib: int | None = None
    #: 10 if `None`. Sparse: empty space costs nothing.
    disk_size_gb: float | None = None
    working_dir: str | None = None
    env: Environment = ()
    volumes: Sequence[Any] = ()
    network: Any = None
    ports: Sequence[Any] = ()
    #: Whether the box is removed when it stops.
    auto_remove: bool | None = None
    auto_stop: Any = None
    auto_delete: Any = None
    auto_resume: Any = None
    #: Whether the box outlives the process that started it.
    detach: bool | None = None
    #: Instead of the image's, for the main command.
    entrypoint: Sequence[str] | None = None
    #: Main command, run at each start: arguments for the entrypoint. The box stops when it ends.
    cmd: Sequence[str] | None = None
    user: str | None = None
    #: A terminal for the main command.
    tty: bool | None = None
    advanced: Any = None
    secrets: Sequence[Any] = ()
    #: Main command with all there is to say about it; instead of `cmd` and `tty`.
    main: Command | None = None
    #: As `linux/amd64`; the host's if `None`.
    platform: str | None = None
    hostname: str | None = None
    #: Labels, for the owner's own use.
    labels: Environment = ()
    #: The disk in MiB, 64 to 61440; instead of `disk_size_gb`.
    disk_size_mib: int | None = None

    def _native(self, name: str | None) -> dict[str, Any]:
        for refused, why in _REFUSED.items():
            value = getattr(self, refused)
            if value is not None and value != () and value != []:
                raise UnsupportedError(f"`{refused}` of a box cannot be honoured: {why}")
        if self.main is not None and (self.cmd is not None or self.tty is not None):
            raise InvalidArgumentError("`main` stands for `cmd` and `tty`: give the one or the others")
        main = self.main
        if main is None and (self.cmd is not None or self.entrypoint is not None or self.tty):
            main = Command(self.cmd or (), tty=bool(self.tty))
        resources = {"cpus": self.cpus, "memory_mib": self.memory_mib, "disk_mib": self._disk_mib()}
        return {
            "image": DEFAULT_IMAGE if self.image is None else self.image,
            "name": name,
            "resources": {key: value for key, value in resources.items() if value is not None},
            "env": [f"{key}={value}" for key, value in _pairs("env", self.env)],
            "cwd": self.working_dir,
            "user": self.user,
            "hostname": self.hostname,
            "entrypoint": None if self.entrypoint is None else _strings("entrypoint", self.entrypoint),
            "main": None if main is None else main._native(),
            "detach": bool(self.detach),
            "auto_remove": bool(self.auto_remove),
            "labels": [f"{key}={value}" for key, value in _pairs("labels", self.labels)],
        }

    def _disk_mib(self) -> int | None:
        if self.disk_size_mib is not None or self.disk_size_gb is None:
            return self.disk_size_mib
        return round(self.disk_size_gb * 1024)


#: Published options of a box that ask for what this version does not have.
_REFUSED = {
    "rootfs_path": "boxes are made of images",
    "volumes": "boxes have no volumes; copy files in and out",
    "network": "boxes have no network",
    "ports": "boxes have no network",
    "auto_stop": "boxes are stopped by their owner",
    "auto_delete": "`auto_remove` removes a box when it stops",
    "auto_resume": "boxes are started by their owner",
    "advanced": "isolation has no knobs; what is in force stands in `info().isolation`",
    "secrets": "boxes have no network to send them to",
}


def _path(path: StrPath | None) -> str | None:
    return None if path is None else os.fspath(path)


def _strings(what: str, values: Sequence[str]) -> list[str]:
    if isinstance(values, str):
        raise InvalidArgumentError(f"`{what}` is a list of strings, not one string")
    return list(values)


def _pairs(what: str, environment: Environment) -> list[tuple[str, str]]:
    pairs = list(environment.items() if isinstance(environment, Mapping) else environment)
    if any(isinstance(pair, str) or len(pair) != 2 for pair in pairs):
        raise InvalidArgumentError(f"`{what}` is a mapping, or a list of pairs of a name and a value")
    return pairs


def _milliseconds(seconds: float) -> int:
    if not 0 < seconds < 2**53:
        raise InvalidArgumentError(f"a timeout of {seconds} s leaves a command no time")
    return max(1, round(seconds * 1000))
