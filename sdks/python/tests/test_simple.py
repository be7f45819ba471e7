"""The classes for those who only want to run something."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import boxlite
import pytest
from boxlite import Boxlite, CodeBox, InteractiveBox, Options, SimpleBox, SyncBoxlite, SyncCodeBox, SyncSimpleBox
from conftest import PATIENCE

#: Prints more than there is room for on its way out, when more of it than there is room for is still on its way in.
CHATTY = "head -c 1000000 /dev/zero | tr '\\0' x\n" + ": \n" * 200_000


async def test_a_simple_box_runs_commands_and_is_gone_afterwards(machines: Boxlite, image: str, tmp_path: Path) -> None:
    async with SimpleBox(image, memory_mib=256, runtime=machines) as box:
        result = await box.exec("sh", "-c", "echo out $A; echo err >&2; exit 4", env={"A": "b"})
        assert (result.exit_code, result.stdout, result.stderr) == (4, "out b\n", "err\n")
        with pytest.raises(boxlite.TimeoutError):
            await box.exec("sleep", "1000", timeout=0.2)
        (tmp_path / "file").write_text("content")
        await box.copy_in(str(tmp_path / "file"), "/tmp/")
        await box.copy_out("/tmp/file", str(tmp_path / "back"))
        assert (tmp_path / "back").read_text() == "content"
        assert box.created and (await box.info()).id == box.id and (await box.metrics()).processes > 0
    assert await machines.get(box.id) is None
    with pytest.raises(boxlite.InvalidStateError):
        await SimpleBox(image, runtime=machines).exec("true")


async def test_a_box_is_found_again_by_its_name(machines: Boxlite, image: str) -> None:
    name = f"python-{os.getpid()}-again"
    async with SimpleBox(image, memory_mib=256, runtime=machines, name=name, auto_remove=False) as first:
        await first.exec("touch", "/kept")
    async with SimpleBox(image, runtime=machines, name=name, reuse_existing=True) as second:
        assert second.id == first.id and second.created is False
        assert (await second.exec("ls", "/kept")).stdout == "/kept\n"
    await machines.remove(name)


async def test_a_box_that_cannot_start_is_not_left_behind(machine_options: Options, image: str) -> None:
    options, name = replace(machine_options, qemu="/bin/false"), f"python-{os.getpid()}-unstarted"
    async with Boxlite(options) as runtime:
        box = SimpleBox(image, memory_mib=256, runtime=runtime, name=name)
        # The second time as well: its name is free again.
        for _ in range(2):
            with pytest.raises(boxlite.UnsupportedError):
                await box.start()
            assert await runtime.get(name) is None and box.created is None
        kept = SimpleBox(image, memory_mib=256, runtime=runtime, name=name, auto_remove=False)
        for _ in range(2):
            with pytest.raises(boxlite.UnsupportedError):
                await kept.start()
        await runtime.remove(kept.id)
    with SyncBoxlite(options) as blocking:
        with pytest.raises(boxlite.UnsupportedError), SyncSimpleBox(image, memory_mib=256, runtime=blocking, name=name):
            pass
        assert blocking.get(name) is None


async def test_a_code_box_runs_code(machines: Boxlite, image: str, tmp_path: Path) -> None:
    async with CodeBox(image, memory_mib=256, runtime=machines, interpreter="sh") as box:
        assert await box.run("echo $((6 * 7)); echo oops >&2") == "42\noops\n"
        assert await box.run(": " + "x" * 300_000 + "\necho long") == "long\n"
        (tmp_path / "script").write_text("echo from a script")
        assert await box.run_script(str(tmp_path / "script")) == "from a script\n"
        # Much of it printed before all of it is read.
        assert await box.run(CHATTY) == "x" * 1_000_000
        assert await box.run("exit 1\n" + "echo never\n" * 100_000) == ""
        with pytest.raises(boxlite.TimeoutError):
            await box.run("sleep 1000", timeout=0.2)
        with pytest.raises(boxlite.UnsupportedError, match="no network"):
            await box.install_package("requests")
        with pytest.raises(boxlite.UnsupportedError):
            await box.install_packages("requests", "numpy")


def test_the_blocking_twins_do_the_same(machine_options: Options, image: str) -> None:
    with SyncBoxlite(machine_options) as runtime:
        with SyncSimpleBox(image, memory_mib=256, runtime=runtime) as box:
            assert box.exec("echo", "hello").stdout == "hello\n"
        with SyncCodeBox(image, memory_mib=256, runtime=runtime, interpreter="sh") as code:
            assert code.run("echo code") == "code\n"
            assert code.run(CHATTY) == "x" * 1_000_000


async def test_an_interactive_box_that_cannot_be_connected_is_not_left_behind(
    machines: Boxlite, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing that a loop could watch or a thread could read.
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    name, tasks = f"python-{os.getpid()}-unconnected", asyncio.all_tasks()
    for shell, error in {"no-such-shell": boxlite.NotFoundError, "sh": io.UnsupportedOperation}.items():
        with pytest.raises(error):
            async with InteractiveBox(image, shell, memory_mib=256, runtime=machines, name=name):
                pass
        assert await machines.get(name) is None
        assert asyncio.all_tasks() == tasks


def test_an_interactive_box_is_a_shell_at_this_program_s_terminal(
    machine_options: Options, image: str, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        """
import asyncio, sys, boxlite

async def main() -> None:
    runtime = boxlite.Boxlite(boxlite.Options(home_dir=sys.argv[1], accelerator="tcg"))
    async with boxlite.InteractiveBox(sys.argv[2], memory_mib=256, runtime=runtime) as box:
        status = await box.wait()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    print("ended with", status.exit_code)

asyncio.run(main())
"""
    )
    command = [sys.executable, program, machine_options.home_dir, image]
    plain = subprocess.run(command, input="echo $((6 * 7))\nexit 3\n", capture_output=True, text=True, timeout=PATIENCE)
    assert (plain.stdout, plain.stderr) == ("42\nended with 3\n", "")
    # What no loop can watch.
    (tmp_path / "input").write_text("echo from a file\n")
    with (tmp_path / "input").open() as file:
        plain = subprocess.run(command, stdin=file, capture_output=True, text=True, timeout=PATIENCE)
    assert (plain.stdout, plain.stderr) == ("from a file\nended with 0\n", "")

    master, slave = pty.openpty()
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=subprocess.PIPE)
    os.close(slave)
    seen = b""
    while b"# " not in seen:
        seen += os.read(master, 4096)
    os.write(master, b"tty; exit 5\r")
    try:
        while piece := os.read(master, 4096):
            seen += piece
    except OSError:
        # The other side of the terminal is closed.
        pass
    os.close(master)
    assert process.wait(PATIENCE) == 0, process.stderr and process.stderr.read()
    assert b"/dev/" in seen and b"ended with 5" in seen
