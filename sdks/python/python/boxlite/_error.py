"""The exceptions of the package. Data first, prose second.

`BoxliteError` carries the fields of the library's error; there is a class for each code in `_error_codes`, which is
generated. What the library hands over as a `Failure` becomes an exception here, and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from ._native import Failure


class BoxliteError(RuntimeError):
    """Something failed: what, on what, and what to do about it.

    `str(error)` is the message with the hint, if there is one, on a line of its own.
    """

    #: Name of the code, the same in every language.
    code: str = "Internal"
    #: Number of the code, the same in every language.
    number: ClassVar[int] = 1
    #: Whether the same call may succeed later without anything being changed by the caller.
    retryable: bool = False

    def __init__(
        self,
        message: str = "",
        *,
        operation: str | None = None,
        context: dict[str, str] | None = None,
        retryable: bool | None = None,
        hint: str | None = None,
        source: str | None = None,
    ) -> None:
        """Make an error; `message` is one line that says what failed and on what."""
        super().__init__(message)
        #: One line that says what failed and on what.
        self.message = message
        #: The operation that failed, as `images.pull`.
        self.operation = operation
        #: What it happened to: `reference`, `digest`, `registry`, `path`, `box`, `entry`, `platform`, `status`.
        self.context: dict[str, str] = context or {}
        #: What to do about it, as one line.
        self.hint = hint
        #: The failure underneath, as text.
        self.source = source
        if retryable is not None:
            self.retryable = retryable

    def __str__(self) -> str:
        """Return the message, with the hint on a line of its own."""
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> Any:
        """Let the error cross to another process whole."""
        return (_restore, (type(self), self.args, self.__dict__.copy()))


def _restore(kind: type[BoxliteError], args: tuple[Any, ...], fields: dict[str, Any]) -> BoxliteError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class ExecError(BoxliteError):
    """A command ended with another code than 0."""

    code = "Execution"
    number = 10

    def __init__(self, command: str, exit_code: int, stderr: str) -> None:
        """Make the error of a command that ended with `exit_code`."""
        last = stderr.strip().rpartition("\n")[2]
        super().__init__(f"`{command}` ended with {exit_code}" + (f": {last}" if last else ""))
        self.command = command
        self.exit_code = exit_code
        self.stderr = stderr


class ParseError(BoxliteError):
    """What a command printed is not what was expected of it."""

    code = "Execution"
    number = 10


def from_failure(failure: Failure) -> BoxliteError:
    """Make the exception of what the library failed with."""
    from ._error_codes import BY_CODE

    return BY_CODE[failure.code](
        failure.message,
        operation=failure.operation,
        context=failure.context,
        retryable=failure.retryable,
        hint=failure.hint,
        source=failure.source,
    )
