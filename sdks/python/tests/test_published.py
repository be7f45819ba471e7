"""What programs written for the published package (0.10) find here, what they do not, and why.

Facts seen by `inspect` on the published package. A name of it stands in exactly one of the two tables.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import boxlite
import pytest

REQUIRED = inspect.Parameter.empty

#: Class -> what it is constructed with, in order, with defaults. What we add comes behind, or is named only.
CONSTRUCTORS: dict[str, list[tuple[str, Any]]] = {
    "Boxlite": [("options", None)],
    "Options": [("home_dir", None), ("image_registries", ())],
    "ImageRegistry": [
        ("host", REQUIRED), ("transport", "https"), ("skip_verify", False), ("search", False), ("username", None),
        ("password", None), ("bearer_token", None),
    ],
    "BoxOptions": [
        ("image", None), ("rootfs_path", None), ("cpus", None), ("memory_mib", None), ("disk_size_gb", None),
        ("working_dir", None), ("env", ()), ("volumes", ()), ("network", None), ("ports", ()), ("auto_remove", None),
        ("auto_stop", None), ("auto_delete", None), ("auto_resume", None), ("detach", None), ("entrypoint", None),
        ("cmd", None), ("user", None), ("tty", None), ("advanced", None), ("secrets", ()),
    ],
    "CopyOptions": [("recursive", True), ("overwrite", True), ("follow_symlinks", False)],
    "ExecResult": [("exit_code", REQUIRED), ("stdout", REQUIRED), ("stderr", REQUIRED), ("error_message", None)],
    "ExecError": [("command", REQUIRED), ("exit_code", REQUIRED), ("stderr", REQUIRED)],
    "SimpleBox": [
        ("image", None), ("rootfs_path", None), ("memory_mib", None), ("cpus", None), ("runtime", None), ("name", None),
        ("auto_remove", True), ("reuse_existing", False),
    ],
    "CodeBox": [("image", "python:slim"), ("memory_mib", None), ("cpus", None), ("runtime", None)],
    "InteractiveBox": [
        ("image", REQUIRED), ("shell", "/bin/sh"), ("tty", None), ("memory_mib", None), ("cpus", None), ("runtime", None),
        ("name", None), ("auto_remove", True),
    ],
    "SyncBoxlite": [("options", None)],
    "SyncSimpleBox": [
        ("image", None), ("rootfs_path", None), ("memory_mib", None), ("cpus", None), ("runtime", None), ("name", None),
        ("auto_remove", True), ("reuse_existing", False),
    ],
    "SyncCodeBox": [("image", "python:slim"), ("memory_mib", None), ("cpus", None), ("runtime", None)],
}  # fmt: skip

_EXEC = [
    ("command", REQUIRED),
    ("args", None),
    ("env", None),
    ("tty", False),
    ("user", None),
    ("timeout_secs", None),
    ("cwd", None),
]
_SIMPLE_EXEC = [("cmd", REQUIRED), ("args", REQUIRED), ("env", None), ("user", None), ("timeout", None), ("cwd", None)]
_COPY_IN = [("host_path", REQUIRED), ("container_dest", REQUIRED)]
_COPY_OUT = [("container_src", REQUIRED), ("host_dest", REQUIRED)]
_RUNTIME: dict[str, list[tuple[str, Any]]] = {
    "default": [],
    "init_default": [("options", REQUIRED)],
    "close": [],
    "shutdown": [("timeout", None)],
    "create": [("options", REQUIRED), ("name", None)],
    "get": [("id_or_name", REQUIRED)],
    "get_or_create": [("options", REQUIRED), ("name", None)],
    "get_info": [("id_or_name", REQUIRED)],
    "list_info": [],
    "remove": [("id_or_name", REQUIRED), ("force", False)],
    "metrics": [],
}
_IMAGES: dict[str, list[tuple[str, Any]]] = {
    "pull": [("reference", REQUIRED)], "list": [], "get": [("reference", REQUIRED)], "remove": [("reference", REQUIRED)],
    "usage": [],
}  # fmt: skip
_BOX: dict[str, list[tuple[str, Any]]] = {
    "exec": _EXEC, "start": [], "stop": [], "info": [], "metrics": [], "attach": [],
    "copy_in": [*_COPY_IN, ("copy_options", None)], "copy_out": [*_COPY_OUT, ("copy_options", None)],
}  # fmt: skip
_EXECUTION: dict[str, list[tuple[str, Any]]] = {
    "stdin": [], "stdout": [], "stderr": [], "wait": [], "kill": [], "signal": [("signal", REQUIRED)],
    "resize_tty": [("rows", REQUIRED), ("cols", REQUIRED)],
}  # fmt: skip
_STDIN: dict[str, list[tuple[str, Any]]] = {"send_input": [("data", REQUIRED)], "close": [], "is_closed": []}
_SIMPLE: dict[str, list[tuple[str, Any]]] = {
    "exec": _SIMPLE_EXEC, "start": [], "stop": [], "shutdown": [], "info": [], "metrics": [], "copy_in": _COPY_IN,
    "copy_out": _COPY_OUT,
}  # fmt: skip
_CODE: dict[str, list[tuple[str, Any]]] = {
    "run": [("code", REQUIRED), ("timeout", None)], "run_script": [("script_path", REQUIRED)],
    "install_package": [("package", REQUIRED)], "install_packages": [("packages", REQUIRED)],
}  # fmt: skip

#: Class -> method -> its parameters, in order, with defaults.
METHODS: dict[str, dict[str, list[tuple[str, Any]]]] = {
    "Boxlite": _RUNTIME,
    "SyncBoxlite": {**_RUNTIME, "start": [], "stop": []},
    "ImageHandle": _IMAGES,
    "SyncImageHandle": _IMAGES,
    "Box": _BOX,
    "SyncBox": _BOX,
    "Execution": _EXECUTION,
    "SyncExecution": _EXECUTION,
    "ExecStdin": _STDIN,
    "SyncExecStdin": _STDIN,
    "SimpleBox": _SIMPLE,
    "SyncSimpleBox": _SIMPLE,
    "CodeBox": _CODE,
    "SyncCodeBox": _CODE,
    "InteractiveBox": {"wait": []},
    "ExecStdout": {"__aiter__": [], "__anext__": []},
    "ExecStderr": {"__aiter__": [], "__anext__": []},
    "SyncExecStdout": {"__iter__": [], "__next__": []},
    "SyncExecStderr": {"__iter__": [], "__next__": []},
}

#: Class -> attributes.
ATTRIBUTES = {
    "Box": ["id", "name"],
    "SyncBox": ["id", "name"],
    "SimpleBox": ["id", "created"],
    "Execution": ["id"],
    "ImageInfo": ["reference", "repository", "tag", "id", "cached_at", "size_bytes"],
    "ImagePullResult": ["reference", "config_digest", "layer_count"],
    "ImageUsage": ["count", "known_bytes", "limit"],
    "BoxInfo": ["id", "name", "image", "state", "created_at", "started_at", "cpus", "memory_mib"],
    "BoxStateInfo": ["status", "running", "pid", "exit_code"],
    "BoxMetrics": ["memory_bytes"],
    "RuntimeMetrics": [
        "boxes_created_total", "boxes_failed_total", "num_running_boxes", "total_commands_executed", "total_exec_errors",
    ],
    "ExitStatus": ["exit_code", "error_message"],
}  # fmt: skip

#: Exceptions: all `BoxliteError`, and so `RuntimeError`, with `.code`.
EXCEPTIONS = {
    "AlreadyExistsError", "BoxliteError", "ConfigError", "DatabaseError", "EngineError", "ExecError", "ExecutionError",
    "ImageError", "InternalError", "InvalidArgumentError", "InvalidStateError", "NetworkError", "NotFoundError",
    "ParseError", "ResourceExhaustedError", "StoppedError", "StorageError", "TimeoutError", "UnsupportedError",
}  # fmt: skip

_NO_NETWORK = "boxes have no network"
_NO_REST = "there is no REST client"
_NO_SNAPSHOTS = "boxes have no snapshots, clones and exports"
_NO_KNOBS = "isolation has no knobs; what is in force stands in `info().isolation`"
_NO_VOLUMES = "boxes have no volumes"
_NO_CATALOGUE = "the store has names, not a catalogue with versions and aliases: use `tag` and `inspect`"

#: Published name -> why it is not here.
ABSENT = {
    "AccessToken": _NO_REST, "ApiKeyCredential": _NO_REST, "BoxliteRestOptions": _NO_REST, "Credential": _NO_REST,
    "Boxlite.rest": _NO_REST, "SyncBoxlite.rest": _NO_REST, "UpstreamUnavailableError": _NO_REST,
    "SessionReapedError": _NO_REST, "MetadataError": _NO_REST, "RegistryCredential": _NO_REST, "RegistryHandle": _NO_REST,
    "SyncRegistryHandle": _NO_REST, "ImageHandle.registries": _NO_REST,
    "BrowserBox": _NO_NETWORK, "BrowserBoxOptions": _NO_NETWORK, "ComputerBox": _NO_NETWORK, "SkillBox": _NO_NETWORK,
    "SyncSkillBox": _NO_NETWORK, "InboundNetworkInfo": _NO_NETWORK, "InboundNetworkSpec": _NO_NETWORK,
    "OutboundNetworkInfo": _NO_NETWORK, "OutboundNetworkSpec": _NO_NETWORK, "NetworkHandle": _NO_NETWORK,
    "NetworkInfo": _NO_NETWORK, "NetworkSpec": _NO_NETWORK, "SyncNetworkHandle": _NO_NETWORK, "PublishedPort": _NO_NETWORK,
    "Secret": _NO_NETWORK, "SocketAddress": _NO_NETWORK, "TunnelForwarder": _NO_NETWORK,
    "SyncTunnelForwarder": _NO_NETWORK, "Box.network": _NO_NETWORK, "SimpleBox.tunnel": _NO_NETWORK,
    "SimpleBox.network": _NO_NETWORK,
    "CloneOptions": _NO_SNAPSHOTS, "ExportOptions": _NO_SNAPSHOTS, "SnapshotHandle": _NO_SNAPSHOTS,
    "SnapshotInfo": _NO_SNAPSHOTS, "SnapshotOptions": _NO_SNAPSHOTS, "Box.snapshot": _NO_SNAPSHOTS,
    "Box.clone_box": _NO_SNAPSHOTS, "Box.export": _NO_SNAPSHOTS, "Boxlite.import_box": _NO_SNAPSHOTS,
    "AdvancedBoxOptions": _NO_KNOBS, "ContainerCapabilities": _NO_KNOBS, "SecurityOptions": _NO_KNOBS,
    "HealthCheckOptions": "boxes have no health checks", "HealthState": "boxes have no health checks",
    "HealthStatus": "boxes have no health checks", "BoxInfo.health_status": "boxes have no health checks",
    "VolumeHandle": _NO_VOLUMES, "VolumeInfo": _NO_VOLUMES, "Boxlite.volumes": _NO_VOLUMES,
    "ImageAliasEvent": _NO_CATALOGUE, "ImageDetail": _NO_CATALOGUE, "ImageVersion": _NO_CATALOGUE,
    "ImageHandle.create_alias": _NO_CATALOGUE, "ImageHandle.delete_alias": _NO_CATALOGUE,
    "SyncBoxlite.dispatcher_fiber": "the blocking API needs no greenlets",
    "BoxMetrics.cpu_percent": "`cpu_usec` counts; a percentage needs a span of time",
    "BoxMetrics.stage_box_spawn_ms": "stages are told by `runtime.events()`",
}  # fmt: skip

#: Every name the published package exports at its top.
PUBLISHED = """
AccessToken AdvancedBoxOptions AlreadyExistsError ApiKeyCredential Box BoxInfo BoxMetrics BoxOptions BoxStateInfo
Boxlite BoxliteError BoxliteRestOptions BrowserBox BrowserBoxOptions CloneOptions CodeBox ComputerBox ConfigError
ContainerCapabilities CopyOptions Credential DatabaseError EngineError ExecError ExecResult ExecStderr ExecStdout
Execution ExecutionError ExportOptions HealthCheckOptions HealthState HealthStatus ImageAliasEvent ImageDetail
ImageError ImageHandle ImageInfo ImagePullResult ImageRegistry ImageUsage ImageVersion InboundNetworkInfo
InboundNetworkSpec InteractiveBox InternalError InvalidArgumentError InvalidStateError MetadataError NetworkError
NetworkHandle NetworkInfo NetworkSpec NotFoundError Options OutboundNetworkInfo OutboundNetworkSpec ParseError
PublishedPort RegistryCredential RegistryHandle ResourceExhaustedError RuntimeMetrics Secret SecurityOptions
SessionReapedError SimpleBox SkillBox SnapshotHandle SnapshotInfo SnapshotOptions SocketAddress StoppedError
StorageError SyncBox SyncBoxlite SyncCodeBox SyncExecStderr SyncExecStdout SyncExecution SyncImageHandle
SyncNetworkHandle SyncRegistryHandle SyncSimpleBox SyncSkillBox SyncTunnelForwarder TimeoutError TunnelForwarder
UnsupportedError UpstreamUnavailableError VolumeHandle VolumeInfo
""".split()


def begins_with(function: Any, expected: list[tuple[str, Any]]) -> None:
    parameters = [each for each in inspect.signature(function).parameters.values() if each.name not in ("self", "kwargs")]
    assert [(each.name, each.default) for each in parameters[: len(expected)]] == expected
    for added in parameters[len(expected) :]:
        assert added.default is not REQUIRED, f"`{added.name}` would break callers of the published package"


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_a_published_class_is_constructed_as_ever(name: str) -> None:
    begins_with(getattr(boxlite, name), CONSTRUCTORS[name])


@pytest.mark.parametrize(("name", "method"), [(name, method) for name, methods in METHODS.items() for method in methods])
def test_a_published_method_is_called_as_ever(name: str, method: str) -> None:
    function = getattr(getattr(boxlite, name), method)
    begins_with(function, METHODS[name][method])
    if name.startswith("Sync"):
        assert not inspect.iscoroutinefunction(function)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_published_attributes_are_there(name: str) -> None:
    found = getattr(boxlite, name)
    fields = {each.name for each in dataclasses.fields(found)} if dataclasses.is_dataclass(found) else set()
    assert {each for each in ATTRIBUTES[name] if each not in fields and not hasattr(found, each)} == set()


@pytest.mark.parametrize("name", sorted(EXCEPTIONS))
def test_published_exceptions_are_runtime_errors_with_a_code(name: str) -> None:
    found = getattr(boxlite, name)
    assert issubclass(found, boxlite.BoxliteError) and issubclass(found, RuntimeError) and isinstance(found.code, str)


def test_every_published_name_is_here_or_says_why_not() -> None:
    here = {name for name in PUBLISHED if hasattr(boxlite, name)}
    assert here | set(ABSENT) >= set(PUBLISHED), set(PUBLISHED) - here - set(ABSENT)
    for name in ABSENT:
        owner, _, member = name.partition(".")
        assert not hasattr(boxlite, owner) or (member and not hasattr(getattr(boxlite, owner), member)), name
    looked_at = {*CONSTRUCTORS, *METHODS, *ATTRIBUTES, *EXCEPTIONS}
    assert here <= looked_at, here - looked_at


def test_the_blocking_twins_have_what_the_asyncio_classes_have() -> None:
    for name in ("Box", "Boxlite", "CodeBox", "Events", "ExecStdin", "Execution", "ImageHandle", "Logs", "SimpleBox"):
        asynchronous, blocking = getattr(boxlite, name), getattr(boxlite, f"Sync{name}")
        for method, function in inspect.getmembers(asynchronous, inspect.isroutine):
            if not method.startswith("_"):
                theirs = list(inspect.signature(getattr(blocking, method)).parameters)
                assert list(inspect.signature(function).parameters) == theirs, f"{name}.{method}"
