"""Cancel is a request, completion is the answer."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import select
import signal
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import boxlite
import pytest
from boxlite import Boxlite, Options, SyncBoxlite, _blocking, _native
from conftest import PATIENCE, in_thread
from registry import Registry

#: Where a pull is held: before the head of the manifest, of the configuration, of the layer, and amid the layer.
STAGES = ["manifest", "config", "layer", "amid the layer"]


def hold(registry: Registry, name: str, stage: str, gate: str) -> str:
    image = registry.ask("push", name=name, image={"layers": [{"filler_bytes": 300_000, "seed": 7}]})
    layer = image["layers"][0]["digest"] if isinstance(image["layers"][0], dict) else image["layers"][0]
    target = {"manifest": "manifests", "config": {"blob": image["config_digest"]}}.get(stage, {"blob": layer})
    registry.hold(target, gate, 1000 if stage == "amid the layer" else None)
    return str(image["reference"])


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("way", ["task", "timeout", "wait_for"])
async def test_a_pull_is_cancelled_at_every_stage_and_the_next_one_succeeds(
    runtime: Boxlite, registry: Registry, stage: str, way: str
) -> None:
    reference = hold(registry, "app:1", stage, "g")
    if way == "task":
        task = asyncio.create_task(runtime.images.pull(reference))
        await in_thread(registry.reached, "g")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    elif way == "timeout":
        with pytest.raises(boxlite.TimeoutError) as caught:
            await runtime.images.pull(reference, timeout=0.3)
        assert caught.value.operation == "images.pull" and isinstance(caught.value, TimeoutError)
    else:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(runtime.images.pull(reference), 0.3)
    # It has rolled back: nothing is listed, nothing is at work, and what it began can be gone on with.
    assert await runtime.images.list() == []
    registry.ask("heal")
    registry.open("g")
    assert (await runtime.images.pull(reference)).reference == reference
    assert (await runtime.check()).findings == []


async def test_a_cancelled_task_ends_only_when_the_native_work_has(runtime: Boxlite, registry: Registry) -> None:
    reference = hold(registry, "app:1", "layer", "g")
    told: list[str] = []
    task = asyncio.create_task(runtime.images.pull(reference, progress=lambda event: told.append(event.type)))
    await in_thread(registry.reached, "g")
    events = runtime.events()
    task.cancel()
    # Cancelled again while it rolls back: the first one counts, and it still waits.
    asyncio.get_running_loop().call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    before = len(told)
    await runtime.shutdown()
    assert [event async for event in events if event.type != "pull"] == []
    assert len(told) == before, "a pull that had ended told of more"
    registry.open("g")


async def test_a_timeout_that_is_long_enough_changes_nothing(runtime: Boxlite, registry: Registry) -> None:
    assert (await runtime.images.pull(registry.push("app:1"), timeout=PATIENCE)).layer_count == 1


@pytest.mark.parametrize("timeout", [-1.0, float("nan")])
async def test_a_timeout_that_is_none_is_refused(runtime: Boxlite, timeout: float) -> None:
    with pytest.raises(boxlite.InvalidArgumentError):
        await runtime.images.pull("localhost/app:1", timeout=timeout)


async def test_the_other_pulls_of_a_group_are_given_up_when_one_fails(runtime: Boxlite, registry: Registry) -> None:
    held = asyncio.create_task(runtime.images.pull(hold(registry, "app:1", "layer", "g")))
    await in_thread(registry.reached, "g")
    failing = asyncio.create_task(runtime.images.pull("!"))
    done, pending = await asyncio.wait([held, failing], timeout=PATIENCE, return_when=asyncio.FIRST_EXCEPTION)
    assert done == {failing} and isinstance(failing.exception(), boxlite.InvalidArgumentError)
    held.cancel()
    await asyncio.wait(pending, timeout=PATIENCE)
    assert held.cancelled()
    registry.open("g")


def test_a_loop_that_is_closed_over_a_pull_is_never_called_into_and_takes_it_along(
    options: Options, registry: Registry
) -> None:
    reference = hold(registry, "app:1", "layer", "g")
    runtime = SyncBoxlite(options)
    async_images = boxlite.ImageHandle(runtime._native.images())
    problems: list[Any] = []
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: problems.append(context))
    task = loop.create_task(async_images.pull(reference))
    loop.run_until_complete(asyncio.wait([task], timeout=0.05))
    registry.reached("g")
    loop.close()
    # Python itself complains of the task, nothing of ours does.
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    gone = weakref.ref(loop)
    del task, loop
    gc.collect()
    assert gone() is None
    # The pull has ended with its loop: the next one does not join it, but asks for the layer again.
    with ThreadPoolExecutor() as pool:
        again = pool.submit(runtime.images.pull, reference)
        registry.reached("g", 2)
        registry.open("g")
        assert again.result(PATIENCE).layer_count == 1
    runtime.close()
    assert problems == []


def test_what_a_loop_never_heard_of_does_not_keep_its_socket(options: Options, registry: Registry) -> None:
    with SyncBoxlite(options) as runtime:
        notifier = _native.Notifier()
        descriptor = notifier.fileno()
        socket = os.fstat(descriptor).st_ino
        operation = runtime._native.images().pull(registry.push("app:1"), None, None, False)
        assert not operation.start(notifier, 0)
        assert select.select([descriptor], [], [], PATIENCE)[0]
        del operation, notifier
        try:
            assert os.fstat(descriptor).st_ino != socket
        except OSError as error:
            assert error.errno == errno.EBADF


def test_loops_one_after_another_and_side_by_side_share_a_runtime(options: Options, registry: Registry) -> None:
    reference = registry.push("app:1")
    with boxlite.Boxlite(options) as runtime:
        for _ in range(3):
            asyncio.run(runtime.images.pull(reference))
        ends: list[Any] = []
        threads = [threading.Thread(target=lambda: ends.append(asyncio.run(runtime.images.list()))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert len(ends) == 8 and all(len(end) == 1 for end in ends)


async def test_the_blocking_api_works_inside_a_running_loop(options: Options, registry: Registry) -> None:
    with SyncBoxlite(options) as runtime:
        events = [event.type for event in runtime.images.pull_stream(registry.push("app:1"))]
        assert events[0] == "resolving" and events[-1] == "done"
        assert len(runtime.images.list()) == 1


def test_a_blocking_pull_tells_its_progress_and_times_out(options: Options, registry: Registry) -> None:
    with SyncBoxlite(options) as runtime:
        reference = hold(registry, "app:1", "layer", "g")
        types: list[str] = []
        with pytest.raises(boxlite.TimeoutError):
            runtime.images.pull(reference, timeout=0.3, progress=lambda event: types.append(event.type))
        assert types[:2] == ["resolving", "resolved"] and runtime.images.list() == []
        with runtime.images.pull_stream(reference) as stream:
            assert next(stream).type == "resolving"
        with pytest.raises(boxlite.InvalidStateError):
            stream.result()
        registry.open("g")

        def refuse(event: boxlite.Event) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            runtime.images.pull(reference, progress=refuse)
        assert runtime.images.pull(reference).layer_count == 1


def test_a_blocking_call_waits_also_when_nobody_takes_its_progress() -> None:
    class Telling:
        """Behaves as a native operation: does not wait while there is something to take."""

        untaken = 3
        waits = 0

        def wait(self, seconds: float | None, signals: bool) -> bool:
            self.waits += 1
            assert self.waits < 10, "it spins"
            return self.untaken == 0

        def take_progress(self) -> list[str]:
            self.untaken -= 1
            return ["stage"]

        def cancel(self) -> None:
            self.untaken = 0

        def result(self) -> str:
            return "answer"

    assert _blocking.run(cast(Any, Telling())) == "answer"


def test_ctrl_c_gives_a_blocking_pull_up_and_is_raised_when_it_has_rolled_back(
    home: Path, registry: Registry, tmp_path: Path
) -> None:
    reference = hold(registry, "app:1", "layer", "g")
    program = tmp_path / "program.py"
    program.write_text(
        """
import signal, sys, boxlite
# Whoever runs the tests in the background may have it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
runtime = boxlite.SyncBoxlite(boxlite.Options(home_dir=sys.argv[1]))
try:
    runtime.images.pull(sys.argv[2])
except KeyboardInterrupt:
    print("interrupted", runtime.images.list(), runtime.check().findings)
"""
    )
    process = subprocess.Popen(
        [sys.executable, program, home, reference], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    registry.reached("g")
    os.kill(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert (process.returncode, stdout, stderr) == (0, "interrupted [] []\n", "")
    registry.open("g")
