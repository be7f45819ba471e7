"""Fork, the end of the interpreter, subinterpreters: what native modules usually die of."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boxlite
import pytest
from boxlite import Boxlite, Options, SyncBoxlite
from conftest import PATIENCE
from registry import Registry


def test_the_child_of_a_fork_is_told_and_does_no_harm(options: Options, home: Path, python: Any) -> None:
    program = """
import asyncio, gc, os, sys, boxlite

runtime = boxlite.Boxlite(boxlite.Options(home_dir=sys.argv[1]))
blocking = boxlite.SyncBoxlite(boxlite.Options(home_dir=sys.argv[1]))
images = runtime.images

async def before() -> None:
    await images.list()

asyncio.run(before())
child = os.fork()
if child == 0:
    def forked(call) -> None:
        try:
            result = call()
            asyncio.run(result) if asyncio.iscoroutine(result) else None
        except RuntimeError as error:
            assert isinstance(error, boxlite.ForkedProcessError), error
            assert "fork" in str(error) and error.hint
        else:
            os._exit(3)
    for call in [images.list, runtime.metrics, runtime.shutdown, runtime.events, blocking.images.list, blocking.metrics,
                 lambda: images.pull("localhost/app:1"), lambda: runtime.create(boxlite.BoxOptions("x"))]:
        forked(call)
    runtime.close()
    del runtime, images, blocking
    gc.collect()
    # What SQLite and the executor keep for the whole process is the parent's: a runtime of its own could hang.
    forked(lambda: boxlite.SyncBoxlite(boxlite.Options(home_dir=sys.argv[1])).images.list())
    sys.exit(7)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 7, status
# The parent's is untouched.
assert asyncio.run(images.list()) == []
assert blocking.images.list() == []
print("parent fine")
"""
    result = python(program, home)
    assert (result.returncode, result.stdout, result.stderr) == (0, "parent fine\n", "")


def test_multiprocessing_by_fork_says_what_is_wrong(home: Path, python: Any) -> None:
    program = """
import multiprocessing, sys, boxlite

runtime = boxlite.SyncBoxlite(boxlite.Options(home_dir=sys.argv[1]))

def use(_):
    return runtime.images.list()

if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        try:
            pool.map(use, range(2))
        except boxlite.ForkedProcessError as error:
            # Whole, although it crossed from process to process.
            print(error.code, error.operation, bool(error.hint))
"""
    result = python(program, home)
    assert (result.returncode, result.stdout, result.stderr) == (0, "ForkedProcess None True\n", "")


ENDINGS = {
    "falls off the end": "",
    "an exit in the middle": "print('end'); raise SystemExit(0)",
    "errors before": """
for call in (lambda: runtime.images.get("localhost/nothing:1"), lambda: runtime.images.pull("!")):
    try:
        call()
    except boxlite.BoxliteError as error:
        kept = error
""",
    "a global that is never let go of": "import builtins; builtins.kept = (runtime, runtime.images)",
    "daemon threads in native calls": """
import threading
def hang() -> None:
    while True:
        try:
            runtime.images.pull(sys.argv[2])
        except boxlite.BoxliteError:
            pass
for _ in range(8):
    threading.Thread(target=hang, daemon=True).start()
for event in runtime.events():
    break
""",
    "daemon threads that are busy": """
import threading
def spin() -> None:
    while True:
        try:
            runtime.images.list()
        except boxlite.StoppedError:
            pass
for _ in range(8):
    threading.Thread(target=spin, daemon=True).start()
runtime.images.list()
""",
    "a pending task": """
import asyncio
runtime_async = boxlite.Boxlite(boxlite.Options(home_dir=sys.argv[1]))
loop = asyncio.new_event_loop()
task = loop.create_task(runtime_async.images.pull(sys.argv[2]))
task._log_destroy_pending = False
events = runtime_async.events()
loop.run_until_complete(events.next())
""",
    "an open iteration": "events = iter(runtime.events())",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_program_that_forgets_to_close_exits_cleanly(home: Path, registry: Registry, python: Any, ending: str) -> None:
    reference = registry.push("app:1")
    registry.hold("any", "g")
    program = f"""
import sys, boxlite
runtime = boxlite.SyncBoxlite(boxlite.Options(home_dir=sys.argv[1]))
{ENDINGS[ending]}
print("end")
"""
    result = python(program, home, reference)
    assert (result.returncode, result.stdout, result.stderr) == (0, "end\n", "")
    registry.open("g")
    with SyncBoxlite(Options(home_dir=home)) as runtime:
        assert runtime.check().findings == []
        assert runtime.images.pull(reference).layer_count == 1


def test_a_killed_program_leaves_nothing_that_the_next_open_does_not_clean(home: Path, registry: Registry) -> None:
    reference = registry.push("app:1")
    registry.hold("blobs", "g", 10)
    program = "import sys, boxlite; boxlite.SyncBoxlite(boxlite.Options(home_dir=sys.argv[1])).images.pull(sys.argv[2])"
    # Held by name: an expression's runtime is collected before its images are used.
    program = program.replace("boxlite.SyncBoxlite", "r = boxlite.SyncBoxlite").replace(").images", "); r.images")
    process = subprocess.Popen([sys.executable, "-c", program, home, reference])
    registry.reached("g")
    process.kill()
    process.wait(PATIENCE)
    registry.ask("heal")
    registry.open("g")
    with SyncBoxlite(Options(home_dir=home)) as runtime:
        assert runtime.images.list() == []
        assert runtime.images.pull(reference).layer_count == 1
        assert runtime.check().findings == []


def test_a_subinterpreter_is_refused_cleanly(python: Any) -> None:
    program = """
import boxlite
try:
    import _xxsubinterpreters as interpreters
except ImportError:
    import _interpreters as interpreters
sub = interpreters.create()
try:
    interpreters.run_string(sub, "import boxlite")
except Exception as error:
    print("refused:", "subinterpreter" in str(error))
"""
    result = python(program)
    assert (result.returncode, result.stdout) == (0, "refused: True\n"), result.stderr


def test_an_expression_s_runtime_is_collected_before_its_images_are_used(options: Options) -> None:
    images = SyncBoxlite(options).images
    with pytest.raises(boxlite.StoppedError):
        images.list()


async def test_no_thread_and_no_descriptor_is_left_behind(options: Options, registry: Registry) -> None:
    def name_of(task: str) -> str:
        try:
            return Path(f"/proc/self/task/{task}/comm").read_text()
        except FileNotFoundError:
            return ""

    def left() -> tuple[bool, int]:
        threads = [name_of(task) for task in os.listdir("/proc/self/task")]
        return any(name.startswith("boxlite") for name in threads), len(os.listdir("/proc/self/fd"))

    async with Boxlite(options) as runtime:
        await runtime.images.pull(registry.push("app:1"))
    while (before := left())[0]:
        await asyncio.sleep(0)
    for _ in range(5):
        async with Boxlite(options) as runtime:
            await runtime.images.list()
    # The very last thread may still be on its way out when a shutdown returns.
    while (now := left())[0]:
        await asyncio.sleep(0)
    assert now[1] == before[1]
