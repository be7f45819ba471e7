"""Boxes and commands, on machines that really run."""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import boxlite
import pytest
from boxlite import Box, Boxlite, BoxOptions, Command, SyncBoxlite
from conftest import PATIENCE


async def text(box: Box, script: str) -> str:
    output = await (await box.exec("sh", ["-c", script])).output()
    assert output.status.exit_code == 0, output
    return output.stdout.decode()


async def test_a_box_lives(machines: Boxlite, box_options: BoxOptions) -> None:
    name = f"python-{os.getpid()}-lives"
    box = await machines.create(replace(box_options, auto_remove=False, env={"GREETING": "hello"}), name)
    assert (await box.info()).state.status == "created" and box.name == name
    await box.start()
    info = await box.info()
    assert info.state.running and info.memory_mib == 256 and info.cpus == 1
    assert info.isolation is not None and (info.isolation.engine, info.isolation.accelerator) == ("vm", "tcg")
    assert await text(box, "echo $GREETING; echo kept > /kept") == "hello\n"
    metrics = await box.metrics()
    assert metrics.memory_total_bytes > 100 << 20 and metrics.memory_bytes > 0
    with pytest.raises(boxlite.AlreadyExistsError):
        await machines.create(box_options, name)
    again, created = await machines.get_or_create(box_options, name)
    assert (again.id, created) == (box.id, False)
    await box.restart()
    assert await text(box, "cat /kept") == "kept\n"
    assert name in [listed.name for listed in await machines.list_info()]
    assert (await machines.metrics()).num_running_boxes >= 1
    with pytest.raises(boxlite.InvalidStateError):
        await box.remove()
    await box.stop()
    assert (await box.info()).state.exit_code == 0
    with pytest.raises(boxlite.InvalidStateError):
        await box.exec("true")
    await machines.remove(name)
    assert await machines.get(name) is None and await machines.get_info(name) is None
    with pytest.raises(boxlite.NotFoundError):
        await box.start()


async def test_a_box_that_was_never_started_starts_with_its_first_command(
    machines: Boxlite, box_options: BoxOptions
) -> None:
    box = await machines.create(box_options)
    execution = await box.exec("echo", ["started"])
    assert execution.id() == execution.id and execution.pid > 0
    assert [line async for line in execution.stdout().lines()] == ["started\n"]
    status = await execution.wait()
    assert (status.exit_code, status.code, status.error_message) == (0, 0, None)
    await box.kill()


async def test_streams_are_byte_for_byte(machines: Boxlite, box_options: BoxOptions) -> None:
    async with await machines.create(box_options) as box:
        data = bytes(range(256)) * 5000
        cat = await box.exec("cat")
        stdin, stdout = cat.stdin(), cat.stdout()
        assert stdin is not None and stdout is not None and cat.stdin() is stdin and cat.stdout() is stdout

        async def feed() -> None:
            await stdin.send_input(data)
            assert not stdin.is_closed()
            await stdin.close()
            await stdin.close()
            assert stdin.is_closed()

        received, _ = await asyncio.gather(stdout.read_all(), feed())
        assert received == data
        assert (await cat.wait()).code == 0
        with pytest.raises(boxlite.InvalidStateError):
            await stdin.write(b"more")

        # Characters that are cut by the end of a piece, lines without an end, bytes that are no text.
        script = r"printf '\303'; sleep 0.05; printf '\251t\303\251\nsecond'; printf '\377' >&2"
        both = await box.exec("sh", ["-c", script])
        out, err = both.stdout(), both.stderr()
        assert "".join([piece async for piece in out]) == "été\nsecond"
        assert [line async for line in err.lines()] == ["\ufffd"]
        lines = await box.exec("sh", ["-c", script])
        assert [line async for line in lines.stdout().byte_lines()] == ["été\n".encode(), b"second"]


async def test_a_read_that_is_cancelled_loses_nothing(machines: Boxlite, box_options: BoxOptions) -> None:
    async with await machines.create(box_options) as box:
        cat = await box.exec("cat")
        stdin, stdout = cat.stdin(), cat.stdout()
        received = b""
        for number in range(20):
            reading = asyncio.create_task(stdout.read())
            await stdin.write(f"{number} ")
            reading.cancel()
            try:
                received += await reading
            except asyncio.CancelledError:
                pass
        await stdin.close()
        received += await stdout.read_all()
        assert received.decode().split() == [str(number) for number in range(20)]


async def test_how_commands_end(machines: Boxlite, box_options: BoxOptions) -> None:
    async with await machines.create(box_options) as box:
        failing = await box.exec("sh", ["-c", "exit 3"])
        assert (await failing.wait()).exit_code == 3
        late = await box.exec("sleep", ["1000"], timeout_secs=0.2)
        status = await late.wait()
        assert status.timed_out and status.exit_code == 137 and status.error_message
        signalled = await box.exec("sleep", ["1000"])
        await signalled.signal(15)
        assert (await signalled.wait()).signal == 15
        killed = await box.exec("sleep", ["1000"])
        with pytest.raises(boxlite.TimeoutError):
            await killed.wait(timeout=0.05)
        await killed.kill()
        assert (await killed.wait()).exit_code == 137
        with pytest.raises(boxlite.NotFoundError):
            await box.exec("no-such-program")
        with pytest.raises(boxlite.InvalidArgumentError):
            await box.exec("true", timeout_secs=0)
        settings = await box.exec("sh", ["-c", "id -u; pwd; echo $A"], env={"A": "b"}, user="1000", cwd="/tmp")
        assert (await settings.output()).stdout == b"1000\n/tmp\nb\n"
        terminal = await box.exec("sh", ["-c", "stty size; read x; stty size"], tty=(30, 100))
        seen = terminal.stdout().lines()
        assert (await anext(seen)).split() == ["30", "100"]
        await terminal.resize_tty(40, 120)
        await terminal.stdin().write("\n")
        assert [line.split() for line in [line async for line in seen]][-1] == ["40", "120"]


async def test_a_command_that_is_let_go_of_is_killed(machines: Boxlite, box_options: BoxOptions) -> None:
    async with await machines.create(box_options) as box:
        async with await box.exec("sleep", ["1000"]) as execution:
            pid, stdout = execution.pid, execution.stdout()
            reading = asyncio.create_task(stdout.read())
            await asyncio.sleep(0)
        # Also what is still waited for is let go of.
        for call in (reading, stdout.read(), execution.kill()):
            with pytest.raises(boxlite.InvalidStateError):
                await call
        with pytest.raises(boxlite.InvalidStateError, match="execution handle is closed"):
            await execution.wait()
        assert await text(box, f"while kill -0 {pid} 2>/dev/null; do :; done; echo gone") == "gone\n"

        # An exec that is cancelled leaves no command.
        task = asyncio.create_task(box.exec("sleep", ["1234"]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await text(box, "while pgrep -f 'sleep 1234' >/dev/null; do :; done; echo gone") == "gone\n"


async def test_files_are_copied_in_and_out(machines: Boxlite, box_options: BoxOptions, tmp_path: Path) -> None:
    async with await machines.create(box_options) as box:
        tree = tmp_path / "tree"
        (tree / "sub").mkdir(parents=True)
        (tree / "sub" / "file").write_bytes(os.urandom(1_000_000))
        await box.copy_in(tree, "/tmp")
        assert (await box.stat("/tmp/tree/sub/file")).size_bytes == 1_000_000
        await box.copy_out("/tmp/tree", tmp_path / "back")
        assert (tmp_path / "back" / "sub" / "file").read_bytes() == (tree / "sub" / "file").read_bytes()
        with pytest.raises(boxlite.AlreadyExistsError):
            await box.copy_in(tree, "/tmp", boxlite.CopyOptions(overwrite=False))
        with pytest.raises(boxlite.UnsupportedError):
            await box.copy_in(tree, "/tmp", boxlite.CopyOptions(recursive=False))
        with pytest.raises(boxlite.NotFoundError):
            await box.copy_out("/nothing", tmp_path / "nothing")

        archive = await (await box.get_archive("/tmp/tree/sub")).read_all()
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            assert "sub/file" in tar.getnames()
        await text(box, "mkdir /tmp/other")
        await box.put_archive("/tmp/other", archive)
        assert (await box.stat("/tmp/other/sub/file")).size_bytes == 1_000_000


async def test_a_main_command_is_attached_to_and_logged(machines: Boxlite, box_options: BoxOptions) -> None:
    main = Command(["sh", "-c", "echo one; read x; echo two $x >&2; exit 5"], stdin=True)
    box = await machines.create(replace(box_options, main=main, auto_remove=False))
    execution = await box.start_attached()
    output = execution.stdout().lines()
    assert await anext(output) == "one\n"
    await execution.stdin().write("three\n")
    assert (await execution.wait()).exit_code == 5
    assert await box.wait() == 5
    pieces = [(entry.source, entry.bytes) async for entry in await box.logs(follow=True)]
    assert pieces == [("stdout", b"one\n"), ("stderr", b"two three\n")]
    assert [entry.bytes async for entry in await box.logs(tail=1)] == [b"two three\n"]
    await box.remove()


async def test_boxes_and_commands_answer_stopped_once_their_runtime_is_gone(
    machine_options: boxlite.Options, box_options: BoxOptions, tmp_path: Path
) -> None:
    runtime = Boxlite(machine_options)
    box = await runtime.create(box_options)
    await box.start()
    execution = await box.exec("cat")
    stdin, stdout = execution.stdin(), execution.stdout()
    reading = asyncio.create_task(stdout.read())
    waiting = asyncio.create_task(execution.wait())
    closed = await runtime.get(box.id)
    closed.close()
    with pytest.raises(boxlite.InvalidStateError, match="box handle is closed"):
        await closed.info()
    let_go = await box.exec("true")
    let_go.close()
    await runtime.shutdown()
    calls: list[Any] = [
        let_go.wait, box.info, box.start, box.start_attached, box.attach, lambda: box.exec("true"), box.detach, box.stop,
        box.restart, box.kill, lambda: box.signal(15), box.wait, box.metrics, box.logs, box.remove,
        lambda: box.copy_in(tmp_path, "/tmp"), lambda: box.copy_out("/tmp", tmp_path / "x"),
        lambda: box.put_archive("/tmp", b""), lambda: box.get_archive("/tmp"), lambda: box.stat("/tmp"),
        execution.wait, execution.output, execution.kill, lambda: execution.signal(9),
        lambda: execution.resize_tty(1, 1), lambda: stdin.write(b"x"), stdout.read, closed.info,
        lambda: reading, lambda: waiting,
    ]  # fmt: skip
    for number, call in enumerate(calls):
        with pytest.raises(boxlite.StoppedError):
            await call()
            pytest.fail(f"call {number} succeeded")
    async with Boxlite(machine_options) as again:
        assert await again.get(box.id) is None, "a box that removes itself outlived its runtime"


async def test_what_happens_is_told(machines: Boxlite, box_options: BoxOptions) -> None:
    events = machines.events()
    async with await machines.create(box_options) as box:
        await (await box.exec("true")).wait()
    types = []
    async for event in events:
        assert event.type == "pull" or event.id == box.id
        types.append(event.type)
        if event.type == "box_removed":
            break
    told = [name for name in types if name not in ("box_starting", "box_stage")]
    expected = ["box_created", "box_started", "exec_started", "exec_completed", "box_stopped", "box_removed"]
    assert told == expected


async def test_options_that_cannot_be_honoured_are_refused(machines: Boxlite, box_options: BoxOptions) -> None:
    for refused in ({"volumes": [("/a", "/b")]}, {"ports": [(80, 80)]}, {"network": object()}, {"rootfs_path": "/x"},
                    {"secrets": [object()]}, {"advanced": object()}, {"auto_stop": True}):  # fmt: skip
        with pytest.raises(boxlite.UnsupportedError):
            await machines.create(replace(box_options, **refused))
    for wrong in (
        {"cpus": 99},
        {"memory_mib": 1},
        {"platform": "x"},
        {"platform": "linux/"},
        {"cmd": ["x"], "main": Command()},
    ):
        with pytest.raises(boxlite.InvalidArgumentError):
            await machines.create(replace(box_options, **wrong))
    with pytest.raises(boxlite.InvalidArgumentError):
        await machines.create(replace(box_options, cpus="many"))  # type: ignore[arg-type]


async def test_an_image_that_is_not_held_is_pulled_when_a_box_is_made(runtime: Boxlite, registry: Any) -> None:
    reference = registry.push("app:1")
    with pytest.raises(boxlite.NotFoundError):
        await runtime.create(BoxOptions(reference), pull="never")
    box = await runtime.create(BoxOptions(reference))
    assert [image.reference for image in await runtime.images.list()] == [reference]
    with pytest.raises(boxlite.InUseError):
        await runtime.images.remove(reference)
    await box.remove()


def test_a_box_is_used_by_threads_that_wait(machine_options: boxlite.Options, box_options: BoxOptions) -> None:
    with SyncBoxlite(machine_options) as runtime, runtime.create(box_options) as box:
        execution = box.exec("sh", ["-c", "cat; echo err >&2"])
        execution.stdin().send_input("in\n")
        execution.stdin().close()
        assert list(execution.stdout()) == ["in\n"] and list(execution.stderr().lines()) == ["err\n"]
        assert execution.wait().exit_code == 0
        assert box.exec("echo", ["x"]).output(timeout=PATIENCE).stdout == b"x\n"
