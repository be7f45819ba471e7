# Generated from `api/errors.toml` by `make gen`; change it there.
"""An exception class for each error code. Names and numbers are the same in every language."""

import builtins

from ._error import BoxliteError


class InternalError(BoxliteError):
    """A defect in BoxLite itself."""

    code = "Internal"
    number = 1
    retryable = False


class NotFoundError(BoxliteError):
    """The named thing does not exist."""

    code = "NotFound"
    number = 2
    retryable = False


class AlreadyExistsError(BoxliteError):
    """A thing of that name exists already."""

    code = "AlreadyExists"
    number = 3
    retryable = False


class InvalidStateError(BoxliteError):
    """The thing exists, but cannot do this in the state it is in."""

    code = "InvalidState"
    number = 4
    retryable = False


class InvalidArgumentError(BoxliteError):
    """The input is malformed or out of range."""

    code = "InvalidArgument"
    number = 5
    retryable = False


class ConfigError(BoxliteError):
    """A configuration file or setting cannot be used."""

    code = "Config"
    number = 6
    retryable = False


class StorageError(BoxliteError):
    """Reading or writing the home directory failed."""

    code = "Storage"
    number = 7
    retryable = False


class ImageError(BoxliteError):
    """The image is malformed, or uses something that cannot be supported safely."""

    code = "Image"
    number = 8
    retryable = False


class NetworkError(BoxliteError):
    """The other side could not be reached, or broke the conversation off."""

    code = "Network"
    number = 9
    retryable = True


class ExecutionError(BoxliteError):
    """A command could not be started in the box."""

    code = "Execution"
    number = 10
    retryable = False


class StoppedError(BoxliteError):
    """The runtime was shut down, or the box was stopped."""

    code = "Stopped"
    number = 11
    retryable = False


class EngineError(BoxliteError):
    """The isolation engine failed."""

    code = "Engine"
    number = 12
    retryable = False


class UnsupportedError(BoxliteError):
    """This host, engine or build cannot do what was asked."""

    code = "Unsupported"
    number = 13
    retryable = False


class DatabaseError(BoxliteError):
    """The state database refused a transaction."""

    code = "Database"
    number = 14
    retryable = False


class ResourceExhaustedError(BoxliteError):
    """A limit on memory, processes, files or size was reached."""

    code = "ResourceExhausted"
    number = 20
    retryable = True


class CancelledError(BoxliteError):
    """The caller cancelled the operation, and it was rolled back."""

    code = "Cancelled"
    number = 32
    retryable = True


class TimeoutError(BoxliteError, builtins.TimeoutError):
    """The operation did not finish within its deadline, and was rolled back."""

    code = "Timeout"
    number = 33
    retryable = True


class UnauthorizedError(BoxliteError):
    """The registry wants credentials, or refuses the ones it was given."""

    code = "Unauthorized"
    number = 34
    retryable = False


class DigestMismatchError(BoxliteError):
    """Bytes are not what their digest, size or DiffID promises."""

    code = "DigestMismatch"
    number = 35
    retryable = False


class PlatformMismatchError(BoxliteError):
    """The image does not exist for the platform asked for."""

    code = "PlatformMismatch"
    number = 36
    retryable = False


class InUseError(BoxliteError):
    """Something else still needs the thing that was to be changed."""

    code = "InUse"
    number = 37
    retryable = True


class NoSpaceError(BoxliteError):
    """The disk is full, or would be."""

    code = "NoSpace"
    number = 38
    retryable = True


class RateLimitedError(BoxliteError):
    """The registry asks to wait."""

    code = "RateLimited"
    number = 39
    retryable = True


class InvalidHandleError(BoxliteError):
    """The handle was freed, is of another kind, or never existed."""

    code = "InvalidHandle"
    number = 40
    retryable = False


class ForkedProcessError(BoxliteError, RuntimeError):
    """The runtime was opened before a fork, and cannot be used in the child."""

    code = "ForkedProcess"
    number = 41
    retryable = False


BY_CODE: dict[str, type[BoxliteError]] = {
    "Internal": InternalError,
    "NotFound": NotFoundError,
    "AlreadyExists": AlreadyExistsError,
    "InvalidState": InvalidStateError,
    "InvalidArgument": InvalidArgumentError,
    "Config": ConfigError,
    "Storage": StorageError,
    "Image": ImageError,
    "Network": NetworkError,
    "Execution": ExecutionError,
    "Stopped": StoppedError,
    "Engine": EngineError,
    "Unsupported": UnsupportedError,
    "Database": DatabaseError,
    "ResourceExhausted": ResourceExhaustedError,
    "Cancelled": CancelledError,
    "Timeout": TimeoutError,
    "Unauthorized": UnauthorizedError,
    "DigestMismatch": DigestMismatchError,
    "PlatformMismatch": PlatformMismatchError,
    "InUse": InUseError,
    "NoSpace": NoSpaceError,
    "RateLimited": RateLimitedError,
    "InvalidHandle": InvalidHandleError,
    "ForkedProcess": ForkedProcessError,
}

__all__ = [
    "InternalError",
    "NotFoundError",
    "AlreadyExistsError",
    "InvalidStateError",
    "InvalidArgumentError",
    "ConfigError",
    "StorageError",
    "ImageError",
    "NetworkError",
    "ExecutionError",
    "StoppedError",
    "EngineError",
    "UnsupportedError",
    "DatabaseError",
    "ResourceExhaustedError",
    "CancelledError",
    "TimeoutError",
    "UnauthorizedError",
    "DigestMismatchError",
    "PlatformMismatchError",
    "InUseError",
    "NoSpaceError",
    "RateLimitedError",
    "InvalidHandleError",
    "ForkedProcessError",
]
