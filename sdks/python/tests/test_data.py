"""What needs no runtime: text out of bytes, options, errors."""

from __future__ import annotations

import copy
import itertools
import pickle

import boxlite
import pytest
from boxlite._options import BoxOptions, Command, CopyOptions
from boxlite._text import Decoder, Lines

TEXT = "é\r\n\n€uro\x85line\u2028 separator\n\N{PILE OF POO} end".encode() + b"\xff\xfe"


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_text_is_the_same_however_it_is_cut(size: int) -> None:
    decoder = Decoder()
    assert "".join(decoder.feed(piece) for piece in [*pieces(TEXT, size), b""]) == TEXT.decode("utf-8", "replace")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_lines_are_the_same_however_they_are_cut(size: int) -> None:
    lines = Lines()
    seen = []
    for piece in [*pieces(TEXT, size), b""]:
        lines.feed(piece)
        while (line := lines.next()) is not None:
            seen.append(line)
    assert b"".join(seen) == TEXT and len(seen) == 4
    assert all(line.endswith(b"\n") for line in seen[:-1])


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", []), (b"\n", [b"\n"]), (b"a", [b"a"]), (b"a\n", [b"a\n"]), (b"\n\na", [b"\n", b"\n", b"a"])],
)
def test_the_ends_of_lines(data: bytes, expected: list[bytes]) -> None:
    lines = Lines()
    lines.feed(data)
    if data:
        lines.feed(b"")
    assert list(itertools.takewhile(lambda line: line is not None, iter(lines.next, None))) == expected


def test_an_error_keeps_everything_when_it_is_copied_and_pickled() -> None:
    error = boxlite.NoSpaceError("full", operation="images.pull", context={"path": "/x"}, hint="make room", source="ENOSPC")
    exec_error = boxlite.ExecError("make", 2, "first\nlast\n")
    assert str(exec_error) == "`make` ended with 2: last"
    for original in (error, exec_error, boxlite.ParseError("no number")):
        for again in (copy.copy(original), pickle.loads(pickle.dumps(original))):
            assert type(again) is type(original) and str(again) == str(original) and vars(again) == vars(original)
    assert error.retryable and str(error) == "full\nhint: make room"


def test_every_code_has_its_class_and_number() -> None:
    classes = [getattr(boxlite, name) for name in boxlite._error_codes.__all__]
    assert len({each.number for each in classes}) == len(classes) > 20
    assert issubclass(boxlite.TimeoutError, TimeoutError) and issubclass(boxlite.ForkedProcessError, RuntimeError)


def test_data_is_data() -> None:
    event = boxlite.Event.of({"type": "exec_completed", "id": "b", "status": dict.fromkeys(("code", "signal"))
                              | {"oom_killed": True, "timed_out": False}})  # fmt: skip
    assert event.status.error_message and pickle.loads(pickle.dumps(event)) == event == copy.deepcopy(event)
    assert str(boxlite.Platform("linux", "arm64", "v8")) == "linux/arm64/v8"
    assert "secret" not in repr(boxlite.ImageRegistry("host", username="me", password="secret", bearer_token="secret"))


@pytest.mark.parametrize(
    "options",
    [
        BoxOptions("x", env=["A=1"]),  # type: ignore[list-item]
        BoxOptions("x", cmd="ls -l"),
        BoxOptions("x", main=Command(["x"]), tty=True),
        BoxOptions("x", main=Command(["x"], timeout=-1)),
        BoxOptions("x", main=Command(["x"], timeout=float("nan"))),
    ],
)
def test_options_that_make_no_sense_are_refused(options: BoxOptions) -> None:
    with pytest.raises(boxlite.InvalidArgumentError):
        options._native(None)


def test_a_copy_that_is_not_recursive_is_refused() -> None:
    with pytest.raises(boxlite.UnsupportedError):
        CopyOptions(recursive=False)._native()
