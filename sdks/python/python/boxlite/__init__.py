"""Run code from any OCI image in a **box**, a machine with its own kernel: no daemon, no root.

`Boxlite` is the open handle to a home, `runtime.images` its images, `Box` a box, `Execution` a command in it. All of it
is for asyncio; `boxlite.sync` holds the same for threads that wait, whose classes are also here as `Sync...`.
"""

from . import _error_codes
from ._box import Box
from ._box_data import BoxInfo, BoxMetrics, BoxStateInfo, ExecResult, ExitStatus, FileStat, IsolationInfo, LogEntry, Output
from ._error import BoxliteError, ExecError, ParseError
from ._error_codes import *  # noqa: F403
from ._execution import Execution
from ._home_data import CheckReport, DoctorCheck, DoctorReport, Event, Finding, KernelInfo, RuntimeMetrics, UsageReport
from ._image_data import (
    ImageConfig,
    ImageDetails,
    ImageInfo,
    ImagePullResult,
    ImageUsage,
    LayerInfo,
    Platform,
    RemovedImage,
)
from ._images import ImageHandle
from ._interactive import InteractiveBox
from ._native import VERSION as __version__
from ._options import BoxOptions, Command, CopyOptions, ImageRegistry, Options
from ._pull_stream import PullStream
from ._runtime import Boxlite
from ._simple import CodeBox, SimpleBox
from ._streams import ByteReader, Events, ExecStderr, ExecStdin, ExecStdout, Logs
from .sync import Box as SyncBox
from .sync import Boxlite as SyncBoxlite
from .sync import ByteReader as SyncByteReader
from .sync import CodeBox as SyncCodeBox
from .sync import Events as SyncEvents
from .sync import ExecStderr as SyncExecStderr
from .sync import ExecStdin as SyncExecStdin
from .sync import ExecStdout as SyncExecStdout
from .sync import Execution as SyncExecution
from .sync import ImageHandle as SyncImageHandle
from .sync import Logs as SyncLogs
from .sync import PullStream as SyncPullStream
from .sync import SimpleBox as SyncSimpleBox

__all__ = [
    *_error_codes.__all__,
    "Box",
    "BoxInfo",
    "BoxMetrics",
    "BoxOptions",
    "BoxStateInfo",
    "Boxlite",
    "BoxliteError",
    "ByteReader",
    "CheckReport",
    "CodeBox",
    "Command",
    "CopyOptions",
    "DoctorCheck",
    "DoctorReport",
    "Event",
    "Events",
    "ExecError",
    "ExecResult",
    "ExecStderr",
    "ExecStdin",
    "ExecStdout",
    "Execution",
    "ExitStatus",
    "FileStat",
    "Finding",
    "ImageConfig",
    "ImageDetails",
    "ImageHandle",
    "ImageInfo",
    "ImagePullResult",
    "ImageRegistry",
    "ImageUsage",
    "InteractiveBox",
    "IsolationInfo",
    "KernelInfo",
    "LayerInfo",
    "LogEntry",
    "Logs",
    "Options",
    "Output",
    "ParseError",
    "Platform",
    "PullStream",
    "RemovedImage",
    "RuntimeMetrics",
    "SimpleBox",
    "SyncBox",
    "SyncBoxlite",
    "SyncByteReader",
    "SyncCodeBox",
    "SyncEvents",
    "SyncExecStderr",
    "SyncExecStdin",
    "SyncExecStdout",
    "SyncExecution",
    "SyncImageHandle",
    "SyncLogs",
    "SyncPullStream",
    "SyncSimpleBox",
    "UsageReport",
    "__version__",
]
