"""`docs/python.md`, executed: every block of the page, in order."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import boxlite
from conftest import PATIENCE
from registry import Registry

PAGE = Path(__file__).resolve().parents[3] / "docs" / "python.md"


async def test_every_block_of_the_page_runs(
    machine_options: boxlite.Options, shared_registry: Registry, tmp_path: Path
) -> None:
    reference = shared_registry.push("debian:12-slim", {"base": "busybox"})
    home = str(machine_options.home_dir)
    with boxlite.SyncBoxlite(machine_options) as runtime:
        if (left := runtime.get("python-guide")) is not None:
            # Of a run that failed.
            left.remove(force=True)
    names: dict[str, Any] = {"home": home, "directory": str(tmp_path)}
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) > 10
    for block in blocks:
        block = block.replace("127.0.0.1:5000", shared_registry.host)
        if "asyncio.run(" in block:
            # A program of its own, which knows no registry to look names up at.
            program = block.replace("debian:12-slim", reference)
            environment = {**os.environ, "BOXLITE_HOME": home}
            command = [sys.executable, "-c", program]
            result = subprocess.run(command, capture_output=True, text=True, timeout=4 * PATIENCE, env=environment)
            assert (result.returncode, result.stdout, result.stderr) == (0, "hello from Linux\n 0\n", "")
            continue
        code = compile(block, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        running = eval(code, names)
        if inspect.isawaitable(running):
            await running
    with boxlite.SyncBoxlite(machine_options) as runtime:
        runtime.images.remove(reference)
