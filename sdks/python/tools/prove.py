"""Pull an image from a registry on loopback and run a command of it in a box: what a wheel that works can do."""

from __future__ import annotations

import json
import subprocess
import sys

import boxlite


def main(registry: str, home: str) -> None:
    with subprocess.Popen([registry], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdin is not None and serving.stdout is not None
        serving.stdout.readline()
        print(
            json.dumps({"id": 1, "op": "push", "name": "busybox:1", "image": {"base": "busybox"}}),
            file=serving.stdin,
            flush=True,
        )
        reference = json.loads(serving.stdout.readline())["ok"]["reference"]
        with boxlite.SyncBoxlite(boxlite.Options(home_dir=home)) as runtime:
            with boxlite.SyncSimpleBox(reference, memory_mib=256, runtime=runtime) as box:
                result = box.exec("uname", "-s")
            runtime.images.remove(reference)
        serving.stdin.close()
    assert (result.exit_code, result.stdout) == (0, "Linux\n"), result


if __name__ == "__main__":
    main(*sys.argv[1:])
