"""What the way from Python into the library and back costs.

Each figure is the best of several rounds, next to what it is compared with. `run.sh` runs this against the installed wheel.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace

import boxlite
from boxlite import BoxOptions, Boxlite, Options, SyncBoxlite

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from registry import Registry

ROUNDS = 5
STREAM_BYTES = 32 << 20


def line(what: str, value: str, against: str = "") -> None:
    print(f"{what:<72}{value:>14}  {against}")


def best(call: Callable[[], object], times: int) -> float:
    """Return the seconds one call takes, the best round counting."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(times):
            call()
        rounds.append((time.perf_counter() - start) / times)
    return min(rounds)


async def best_of(call: Callable[[], Awaitable[object]], times: int) -> float:
    """Return the seconds one awaited call takes, the best round counting."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(times):
            await call()
        rounds.append((time.perf_counter() - start) / times)
    return min(rounds)


def attribute_access(runtime: Boxlite) -> None:
    plain = SimpleNamespace(images=runtime.images)

    def read(thing: object) -> float:
        start = time.perf_counter()
        for _ in range(1_000_000):
            thing.images  # type: ignore[attr-defined]  # noqa: B018
        return time.perf_counter() - start

    ours, theirs = (min(read(thing) for _ in range(ROUNDS)) * 1000 for thing in (runtime, plain))
    line("`runtime.images`", f"{ours:.1f} ns", f"{ours / theirs:.2f} x a plain attribute ({theirs:.1f} ns)")


async def calls(options: Options) -> None:
    with SyncBoxlite(options) as blocking:
        native = blocking._native
        micro = 1e6

        def bare() -> None:
            operation = native.metrics()
            operation.wait()
            operation.result()

        floor = best(bare, 2000) * micro
        line("a native call that reads a row (`metrics`), waited for", f"{floor:.1f} us")
        cost = best(blocking.metrics, 2000) * micro
        line("the same through the blocking API", f"{cost:.1f} us", f"{cost / floor:.2f} x")
        stopped = blocking.images
    async with Boxlite(options) as runtime:
        cost = await best_of(runtime.metrics, 2000) * micro
        line("the same through asyncio", f"{cost:.1f} us", f"{cost / floor:.2f} x")

        async def hop() -> None:
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            threading_hop(loop, future)
            await future

        pending: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        ready = threading.Semaphore(0)

        def threading_hop(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
            pending.append((loop, future))
            ready.release()

        def work() -> None:
            while True:
                ready.acquire()
                loop, future = pending.pop()
                loop.call_soon_threadsafe(future.set_result, None)

        threading.Thread(target=work, daemon=True).start()
        cost = await best_of(hop, 2000) * micro
        line("to compare: a thread answers over `call_soon_threadsafe`, no work", f"{cost:.1f} us")

        start = time.perf_counter()
        await asyncio.gather(*(runtime.metrics() for _ in range(1000)))
        line("1,000 such calls at once", f"{(time.perf_counter() - start) * 1000:.0f} ms")

    def refused() -> None:
        try:
            stopped.list()
        except boxlite.StoppedError:
            pass

    line("a call that is refused with `StoppedError`", f"{best(refused, 2000) * micro:.1f} us")


async def streams(options: Options, image: str) -> None:
    # In large pieces: a command that writes small ones is slower than what is measured.
    argument = ["-c", f"dd if=/dev/zero bs=64k count={STREAM_BYTES >> 16} 2> /dev/null"]
    wanted = BoxOptions(image, memory_mib=256, auto_remove=True)
    rates: dict[str, float] = {}

    def note(what: str, received: int, start: float) -> None:
        assert received == STREAM_BYTES, (what, received)
        rates[what] = max(rates.get(what, 0), received / (time.perf_counter() - start) / (1 << 20))

    with SyncBoxlite(options) as runtime, runtime.create(wanted) as box:
        async with Boxlite(options) as asynchronous:
            same = await asynchronous.get(box.id)
            assert same is not None
            for _ in range(3):
                start = time.perf_counter()
                note("library", len(box.exec("sh", argument).output().stdout), start)

                start = time.perf_counter()
                output = box.exec("sh", argument).stdout()
                assert output is not None
                note("blocking", sum(map(len, output.chunks())), start)

                start = time.perf_counter()
                stream = (await same.exec("sh", argument)).stdout()
                assert stream is not None
                received = 0
                async for chunk in stream.chunks():
                    received += len(chunk)
                note("asyncio", received, start)

                start = time.perf_counter()
                stream = (await same.exec("sh", argument)).stdout()
                assert stream is not None
                received = 0
                async for text in stream:
                    received += len(text)
                note("asyncio, as text", received, start)
    with SyncBoxlite(options) as runtime:
        runtime.images.remove(image)
    library = rates.pop("library")
    line("stdout of a box, collected by the library in one native call", f"{library:.0f} MiB/s")
    for what, rate in rates.items():
        line(f"stdout of a box, piece by piece: {what}", f"{rate:.0f} MiB/s", f"{rate / library:.2f} x the library's own")


async def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        options = Options(home_dir=home)
        with Boxlite(options) as runtime:
            attribute_access(runtime)
        await calls(options)
    registry = Registry(Path(os.environ["BOXLITE_TEST_REGISTRY"]))
    options = Options(home_dir=os.environ["BOXLITE_TEST_HOME"], accelerator="tcg")
    try:
        await streams(options, registry.push("busybox:1", {"base": "busybox"}))
    finally:
        registry.close()


if __name__ == "__main__":
    asyncio.run(main())
