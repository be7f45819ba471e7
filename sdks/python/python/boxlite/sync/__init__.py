"""The blocking API: the same classes, under the same names without `Sync`, whose calls wait.

They need no event loop, work inside a running one, and in any thread.
"""

from ._box import SyncBox as Box
from ._execution import SyncExecution as Execution
from ._images import SyncImageHandle as ImageHandle
from ._pull_stream import SyncPullStream as PullStream
from ._runtime import SyncBoxlite as Boxlite
from ._simple import SyncCodeBox as CodeBox
from ._simple import SyncSimpleBox as SimpleBox
from ._streams import SyncByteReader as ByteReader
from ._streams import SyncEvents as Events
from ._streams import SyncExecStderr as ExecStderr
from ._streams import SyncExecStdin as ExecStdin
from ._streams import SyncExecStdout as ExecStdout
from ._streams import SyncLogs as Logs

__all__ = [
    "Box",
    "Boxlite",
    "ByteReader",
    "CodeBox",
    "Events",
    "ExecStderr",
    "ExecStdin",
    "ExecStdout",
    "Execution",
    "ImageHandle",
    "Logs",
    "PullStream",
    "SimpleBox",
]
