"""Handles that cannot lie: from the moment a runtime is gone, every call on every handle says so."""

from __future__ import annotations

import asyncio
import gc
import shutil
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import boxlite
import pytest
from boxlite import Boxlite, Options, SyncBoxlite
from conftest import PATIENCE, ROUNDS, in_thread
from registry import Registry


def calls_on_images(images: boxlite.ImageHandle, tmp_path: Path) -> list[Callable[[], Awaitable[Any]]]:
    return [
        lambda: images.pull("localhost/app:1"),
        lambda: images.pull_stream("localhost/app:1").result(),
        images.list,
        images.usage,
        lambda: images.get("localhost/app:1"),
        lambda: images.inspect("localhost/app:1"),
        lambda: images.tag("localhost/app:1", "localhost/app:2"),
        lambda: images.remove("localhost/app:1"),
        lambda: images.export_erofs("localhost/app:1", tmp_path / "file"),
    ]


def calls_on_runtime(runtime: Boxlite) -> list[Callable[[], Awaitable[Any]]]:
    async def events() -> None:
        runtime.events()

    return [
        lambda: runtime.create(boxlite.BoxOptions("localhost/app:1")),
        lambda: runtime.get("name"),
        lambda: runtime.get_or_create(boxlite.BoxOptions("localhost/app:1"), "name"),
        lambda: runtime.get_info("name"),
        lambda: runtime.remove("name"),
        runtime.list_info,
        runtime.metrics,
        runtime.usage,
        runtime.check,
        runtime.doctor,
        runtime.prepare,
        runtime.kernels,
        runtime.install_kernel,
        events,
    ]


async def all_raise(expected: type[BaseException], calls: list[Callable[[], Awaitable[Any]]]) -> None:
    for number, call in enumerate(calls):
        with pytest.raises(expected):
            await call()
            pytest.fail(f"call {number} succeeded")


async def by_shutdown(runtime: Boxlite) -> None:
    await runtime.shutdown()


async def by_close(runtime: Boxlite) -> None:
    runtime.close()


async def by_with(runtime: Boxlite) -> None:
    with runtime:
        pass


async def by_async_with(runtime: Boxlite) -> None:
    async with runtime:
        pass


@pytest.mark.parametrize("end", [by_shutdown, by_close, by_with, by_async_with])
async def test_every_call_answers_stopped_once_the_runtime_is_gone(
    options: Options, tmp_path: Path, end: Callable[[Boxlite], Awaitable[None]]
) -> None:
    runtime = Boxlite(options)
    images = runtime.images
    await end(runtime)
    assert runtime.closed
    await all_raise(boxlite.StoppedError, calls_on_images(images, tmp_path))
    await all_raise(boxlite.StoppedError, calls_on_runtime(runtime))
    assert runtime.images is images
    # May be asked for again, by whatever way.
    await runtime.shutdown()
    runtime.close()


async def test_every_call_answers_stopped_once_the_runtime_is_collected(options: Options, tmp_path: Path) -> None:
    runtime = Boxlite(options)
    images = runtime.images
    del runtime
    await all_raise(boxlite.StoppedError, calls_on_images(images, tmp_path))


async def test_a_runtime_in_a_cycle_is_closed_by_the_garbage_collector(options: Options) -> None:
    runtime = Boxlite(options)
    images = runtime.images
    cycle: list[Any] = [runtime]
    cycle.append(cycle)
    del runtime, cycle
    gc.collect()
    with pytest.raises(boxlite.StoppedError):
        await images.list()


async def test_a_closed_handle_of_an_open_runtime_is_told_from_a_dead_runtime(options: Options, tmp_path: Path) -> None:
    runtime = Boxlite(options)
    images = runtime.images
    images.close()
    images.close()
    assert images.closed and runtime.images is images
    await all_raise(boxlite.InvalidStateError, calls_on_images(images, tmp_path))
    with pytest.raises(boxlite.InvalidStateError, match="image handle is closed"):
        await images.list()
    assert await runtime.list_info() == []
    await runtime.shutdown()
    await all_raise(boxlite.StoppedError, calls_on_images(images, tmp_path))


async def test_the_home_is_opened_again_and_deleted_at_once_while_old_handles_are_held(
    options: Options, home: Path, registry: Registry
) -> None:
    held = []
    reference = registry.push("app:1")
    for _ in range(5):
        runtime = Boxlite(options)
        held.append((runtime, runtime.images))
        await runtime.images.pull(reference)
        await runtime.shutdown()
    again = await Boxlite.open(options)
    assert [image.reference for image in await again.images.list()] == [reference]
    await again.shutdown()
    shutil.rmtree(home)
    for runtime, images in held:
        with pytest.raises(boxlite.StoppedError):
            await images.list()
        del runtime, images
    gc.collect()
    assert not home.exists()


async def pull_and_tell(runtime: Boxlite, reference: str, ended: list[str]) -> None:
    try:
        await runtime.images.pull(reference)
        ended.append("pulled")
    except boxlite.StoppedError:
        ended.append("stopped")


async def test_a_shutdown_ends_a_hundred_pulls_in_flight_each_exactly_once(
    options: Options, home: Path, registry: Registry
) -> None:
    references = [registry.push(f"app{number}:1") for number in range(10)]
    for round_ in range(ROUNDS):
        gate = f"g{round_}"
        registry.ask("heal")
        registry.hold("manifests", gate)
        runtime = Boxlite(options)
        ended: list[str] = []
        pulls = [asyncio.create_task(pull_and_tell(runtime, references[number % 10], ended)) for number in range(100)]
        await in_thread(registry.reached, gate, 10)
        await asyncio.gather(*(runtime.shutdown() for _ in range(3)))
        # Not one is still to come when the shutdown has returned.
        assert ended == ["stopped"] * 100 and all(pull.done() for pull in pulls)
        registry.open(gate)
        shutil.rmtree(home)


def test_eight_threads_use_a_runtime_while_it_is_let_go_of(options: Options, registry: Registry) -> None:
    reference = registry.push("app:1")
    for _ in range(ROUNDS):
        runtime = SyncBoxlite(options)
        images, started, ends = runtime.images, threading.Barrier(9), []

        def use(images: Any = images, started: Any = started, ends: Any = ends) -> None:
            started.wait()
            try:
                while True:
                    images.list()
                    images.pull(reference)
            except boxlite.StoppedError:
                ends.append("stopped")
            except BaseException as error:
                ends.append(error)

        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        started.wait()
        images.list()
        del runtime
        for thread in threads:
            thread.join(PATIENCE)
        assert ends == ["stopped"] * 8


async def test_closing_a_runtime_twice_and_from_many_threads_is_one_closing(options: Options) -> None:
    runtime = Boxlite(options)
    threads = [threading.Thread(target=runtime.close) for _ in range(8)]
    for thread in threads:
        thread.start()
    await runtime.shutdown()
    for thread in threads:
        thread.join(PATIENCE)
    assert runtime.closed


async def test_events_of_a_runtime_end_with_it(options: Options, registry: Registry) -> None:
    runtime = Boxlite(options)
    events = runtime.events()
    await runtime.images.pull(registry.push("app:1"))
    first = await events.next()
    assert first is not None and first.type == "pull" and first.event.type == "resolving"
    await runtime.shutdown()
    rest = [event async for event in events]
    assert rest[-1].event.type == "done"
    assert await events.next() is None


def test_the_default_runtime_is_one(tmp_path: Path, python: Any) -> None:
    program = """
import boxlite, sys
boxlite.Boxlite.init_default(boxlite.Options(home_dir=sys.argv[1]))
assert boxlite.Boxlite.default() is boxlite.Boxlite.default()
assert boxlite.Boxlite.default().home == sys.argv[1]
try:
    boxlite.Boxlite.init_default(boxlite.Options(home_dir=sys.argv[1]))
except boxlite.InvalidStateError:
    print("one")
"""
    result = python(program, tmp_path / "home")
    assert (result.returncode, result.stdout, result.stderr) == (0, "one\n", "")


def test_a_default_runtime_that_was_shut_down_is_opened_again(tmp_path: Path, python: Any) -> None:
    program = """
import os, sys, boxlite
boxlite.SyncBoxlite.init_default(boxlite.Options(home_dir=sys.argv[1]))
first = boxlite.SyncBoxlite.default()
first.shutdown()
boxlite.SyncBoxlite.init_default(boxlite.Options(home_dir=sys.argv[1]))
second = boxlite.SyncBoxlite.default()
assert second is not first and second.home == sys.argv[1] and second.images.list() == []
second.close()
third = boxlite.SyncBoxlite.default()
assert third.home == os.environ["BOXLITE_HOME"] and third.images.list() == []
child = os.fork()
if child == 0:
    # That of the parent is not one that was shut down.
    try:
        assert boxlite.SyncBoxlite.default() is third
        third.images.list()
    except boxlite.ForkedProcessError:
        os._exit(7)
    os._exit(1)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status))
"""
    result = python(program, tmp_path / "home", BOXLITE_HOME=str(tmp_path / "other"))
    assert (result.returncode, result.stdout, result.stderr) == (0, "7\n", "")
