"""What the tests start from: a home, a registry, a runtime, a box that runs.

`BOXLITE_TEST_REGISTRY` names the program of the lying registry, `BOXLITE_TEST_HOME` a home that holds kernel and template
(it is shared: each test has its own boxes). `test.sh` sets both.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boxlite
import pytest
from registry import Registry

#: Long enough for everything that is to end by itself, short enough to notice what does not.
PATIENCE = 60.0

#: Rounds of the races: a few by default, many in `make soak`.
ROUNDS = int(os.environ.get("BOXLITE_SOAK_ROUNDS", "3"))


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run tests that are coroutines, each in a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(asyncio.wait_for(pyfuncitem.obj(**arguments), 4 * PATIENCE + 2 * ROUNDS))
    return True


def needed(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set; run test.sh")
    return Path(value)


@pytest.fixture(scope="session")
def shared_registry() -> Iterator[Registry]:
    registry = Registry(needed("BOXLITE_TEST_REGISTRY"))
    yield registry
    registry.close()


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry of this test's own, for faults."""
    registry = Registry(needed("BOXLITE_TEST_REGISTRY"))
    yield registry
    registry.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def options(home: Path) -> boxlite.Options:
    return boxlite.Options(home_dir=home, retry_attempts=2, retry_delay=0.001, accelerator="tcg")


@pytest.fixture
def runtime(options: boxlite.Options) -> Iterator[boxlite.Boxlite]:
    with boxlite.Boxlite(options) as runtime:
        yield runtime


@pytest.fixture(scope="session")
def machine_options() -> boxlite.Options:
    return boxlite.Options(home_dir=needed("BOXLITE_TEST_HOME"), accelerator="tcg")


#: A name that stays the same, however the port of the registry changes.
IMAGE = "localhost/boxlite-python-test:busybox"


@pytest.fixture(scope="session")
def image(machine_options: boxlite.Options, shared_registry: Registry) -> str:
    """An image that really boots, in the shared home."""
    with boxlite.SyncBoxlite(machine_options) as runtime:
        try:
            runtime.images.get(IMAGE)
        except boxlite.NotFoundError:
            reference = shared_registry.push("busybox:1", {"base": "busybox"})
            runtime.images.pull(reference)
            runtime.images.tag(reference, IMAGE)
            runtime.images.remove(reference)
    return IMAGE


@pytest.fixture
def machines(machine_options: boxlite.Options, image: str) -> Iterator[boxlite.Boxlite]:
    """A runtime of the shared home. Boxes are made to remove themselves."""
    with boxlite.Boxlite(machine_options) as runtime:
        yield runtime


@pytest.fixture
def box_options(image: str) -> boxlite.BoxOptions:
    return boxlite.BoxOptions(image=image, memory_mib=256, auto_remove=True)


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a program in an interpreter of its own."""

    def run(program: str, *arguments: Any, **environment: str) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "program.py"
        path.write_text(program)
        command = [sys.executable, str(path), *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=4 * PATIENCE, env={**os.environ, **environment}
        )

    return run


async def in_thread(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Wait for something that blocks, without holding the loop up."""
    return await asyncio.to_thread(functools.partial(call, *arguments, **named))
