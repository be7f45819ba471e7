"""The lying registry of the test kit: a program that is told over its stdin what to serve and how to misbehave."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any


class Registry:
    """One registry. Requests may overlap, from any thread: those that wait for a gate are answered later."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.host: str = json.loads(self._process.stdout.readline())["host"]
        self._answers: dict[int, dict[str, Any]] = {}
        self._news = threading.Condition()
        self._next_id = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            with self._news:
                self._answers[answer["id"]] = answer
                self._news.notify_all()

    def ask(self, op: str, **fields: Any) -> Any:
        assert self._process.stdin is not None
        with self._news:
            self._next_id += 1
            request_id = self._next_id
            self._process.stdin.write(json.dumps({"id": request_id, "op": op, **fields}) + "\n")
            self._process.stdin.flush()
            assert self._news.wait_for(lambda: request_id in self._answers, timeout=60), f"{op} {fields}: no answer"
            answer = self._answers.pop(request_id)
        assert "error" not in answer, answer
        return answer["ok"]

    def push(self, name: str, image: dict[str, Any] | None = None) -> str:
        """Make an image, and return its reference."""
        default = {"layers": [{"files": {"etc/motd": f"hello from {name}\n"}, "filler_bytes": 100_000, "seed": len(name)}]}
        return str(self.ask("push", name=name, image=image or default)["reference"])

    def hold(self, on: Any, gate: str, after: int | None = None) -> None:
        """Hold responses at a gate: before their head, or after so many bytes of their body."""
        fault = {"hold_head": gate} if after is None else {"hold_after": [after, gate]}
        self.ask("rule", rule={"on": on, "faults": [fault]})

    def reached(self, gate: str, count: int = 1) -> None:
        self.ask("gate_reached", gate=gate, count=count)

    def open(self, gate: str) -> None:
        self.ask("gate_open", gate=gate)

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._reader.join(60)
        self._process.stdout.close()
