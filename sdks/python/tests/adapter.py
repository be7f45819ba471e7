"""The adapter of this package for `boxlite-conformance` (conformance/PROTOCOL.md).

It calls the asyncio API as a user would, and reports what came back in the spelling of the protocol. It never judges.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import os
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import asdict, is_dataclass
from typing import Any

import boxlite
from boxlite import BoxOptions, Command, CopyOptions, ImageRegistry, Options

handles: dict[str, Any] = {}
running: dict[int, asyncio.Task[dict[str, Any]]] = {}


class Made:
    """A handle, and what the answer says of it."""

    def __init__(self, handle: Any, answer: Any = None) -> None:
        self.handle, self.answer = handle, answer


def send(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def spell(value: Any) -> Any:
    """Spell data of the package as the protocol has it."""
    if isinstance(value, boxlite.Event):
        return {"type": value.type, **{name: spell(part) for name, part in value.fields.items()}}
    if isinstance(value, boxlite.BoxInfo):
        return {**asdict(value), "state": value.state.status}
    if is_dataclass(value) and not isinstance(value, type):
        return spell(asdict(value))
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: spell(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [spell(part) for part in value]
    return value


def given(**arguments: Any) -> dict[str, Any]:
    """Leave out what is not there, which means the default."""
    return {name: value for name, value in arguments.items() if value is not None}


def only(fields: dict[str, Any], *known: str) -> dict[str, Any]:
    """Refuse what nothing here has a name for."""
    unknown = [name for name, value in fields.items() if name not in known and value is not None]
    if unknown:
        raise NotImplementedError(f"no name for {unknown}")
    return fields


def platform(value: Any) -> str | None:
    return "/".join(filter(None, value.values())) if isinstance(value, dict) else value


def pairs(entries: list[str] | None) -> list[tuple[str, ...]] | None:
    return None if entries is None else [tuple(entry.split("=", 1)) for entry in entries]


def terminal(size: dict[str, int] | None) -> tuple[int, int] | None:
    return None if size is None else (size["rows"], size["columns"])


def seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def command(spec: dict[str, Any]) -> Command:
    only(spec, "argv", "env", "cwd", "user", "tty", "stdin", "timeout_ms", "detach")
    return Command(
        **given(
            args=spec.get("argv"), env=spec.get("env"), cwd=spec.get("cwd"), user=spec.get("user"),
            tty=terminal(spec.get("tty")), stdin=spec.get("stdin"), timeout=seconds(spec.get("timeout_ms")),
            detach=spec.get("detach"),
        )
    )  # fmt: skip


def box_options(spec: dict[str, Any]) -> BoxOptions:
    only(
        spec, "image", "name", "platform", "isolation", "resources", "env", "cwd", "user", "hostname", "entrypoint", "main",
        "detach", "auto_remove", "labels",
    )  # fmt: skip
    resources = spec.get("resources") or {}
    main = spec.get("main")
    return BoxOptions(
        **given(
            image=spec.get("image"), cpus=resources.get("cpus"), memory_mib=resources.get("memory_mib"),
            disk_size_mib=resources.get("disk_mib"), env=pairs(spec.get("env")), working_dir=spec.get("cwd"),
            user=spec.get("user"), hostname=spec.get("hostname"), entrypoint=spec.get("entrypoint"),
            main=None if main is None else command(main), detach=spec.get("detach"),
            auto_remove=spec.get("auto_remove"), labels=pairs(spec.get("labels")), platform=platform(spec.get("platform")),
        )
    )  # fmt: skip


def registry(fields: dict[str, Any]) -> ImageRegistry:
    only(fields, "host", "transport", "username", "password", "token")
    token = fields.pop("token", None)
    return ImageRegistry(**given(**fields, bearer_token=token))


def copying(args: dict[str, Any]) -> CopyOptions:
    return CopyOptions(**given(overwrite=args.get("overwrite"), follow_symlinks=args.get("follow_symlinks")))


async def open_runtime(_: None, args: dict[str, Any]) -> Made:
    delay = seconds(args.get("retry_delay_ms"))
    registries = [registry(fields) for fields in args.get("registries") or []]
    options = given(
        accelerator=args.get("accelerator"),
        spare_machine=args.get("spare_machine"),
        retry_delay=delay,
        image_registries=registries,
    )
    return Made(await boxlite.Boxlite.open(Options(args["home"], **options)))


async def create(runtime: boxlite.Boxlite, args: dict[str, Any]) -> Made:
    # The operation of the contract takes images that are held; that this API also pulls is its own.
    box = await runtime.create(box_options(args["spec"]), args["spec"].get("name"), pull="never")
    return Made(box, {"id": box.id})


async def get(runtime: boxlite.Boxlite, args: dict[str, Any]) -> Made:
    box = await runtime.get(args["name"])
    if box is None:
        raise boxlite.NotFoundError(
            f"no such box: `{args['name']}`", operation="runtime.get", context={"box": args["name"]}
        )
    return Made(box, {"id": box.id})


async def prepare(runtime: boxlite.Boxlite, args: dict[str, Any]) -> None:
    await runtime.prepare(box_options({"resources": args.get("resources")}))


async def pull(images: boxlite.ImageHandle, args: dict[str, Any]) -> Any:
    def tell(event: boxlite.Event) -> None:
        send({"progress": args["id"], "event": spell(event)})

    options = given(policy=args.get("policy"), progress=tell if args.get("progress") else None)
    return await images.pull(args["reference"], platform=platform(args.get("platform")), **options)


async def execute(box: boxlite.Box, args: dict[str, Any]) -> Made:
    run = command(args["spec"])
    first, *rest = run.args or [""]
    execution = await box.exec(
        first, rest, run.env, run.tty, run.user, run.timeout, run.cwd, stdin=run.stdin, detach=run.detach, start=False
    )
    return Made(execution)


async def read(execution: boxlite.Execution, args: dict[str, Any]) -> bytes:
    output = execution.stdout() if args["stream"] == "stdout" else execution.stderr()
    assert output is not None
    return await output.read()


async def archive(box: boxlite.Box, args: dict[str, Any]) -> bytes:
    return await (await box.get_archive(args["path"])).read_all()


def stdin(execution: boxlite.Execution) -> boxlite.ExecStdin:
    found = execution.stdin()
    assert found is not None
    return found


async def now(value: Any) -> Any:
    return value


async def collect(name: str) -> None:
    """Forget the last reference to a runtime; it closes with that, or with a collection."""
    images = handles.pop(name).images
    gc.collect()
    try:
        while True:
            await images.list()
    except boxlite.StoppedError:
        pass


def fork(handle: Any, args: dict[str, Any]) -> Any:
    """Carry an operation out in a forked child, and hand its answer back."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        # Only this reply leaves the child, and it goes without any clean-up of the parent's things.
        try:
            coroutine = answer_to({**args, "id": 0}, OPERATIONS[args["op"]], handle)
            reply = asyncio.new_event_loop().run_until_complete(coroutine)
            os.write(writing, json.dumps(reply).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        reply = json.loads(pipe.read())
    os.waitpid(child, 0)
    return {name: reply[name] for name in ("ok", "error") if name in reply}


async def forked(handle: Any, args: dict[str, Any]) -> Any:
    return await asyncio.to_thread(fork, handle, args)


async def stop(box: boxlite.Box, args: dict[str, Any]) -> None:
    await box.stop(seconds(args.get("timeout_ms")))


Operation = Callable[[Any, dict[str, Any]], Awaitable[Any]]

OPERATIONS: dict[str, Operation] = {
    "runtime.open": open_runtime,
    "runtime.images": lambda on, args: now(Made(on.images)),
    "runtime.create": create,
    "runtime.get": get,
    "runtime.list": lambda on, args: on.list_info(),
    "runtime.remove": lambda on, args: on.remove(args["name"], args.get("force", False)),
    "runtime.metrics": lambda on, args: on.metrics(),
    "runtime.usage": lambda on, args: on.usage(),
    "runtime.check": lambda on, args: on.check(repair=args.get("repair", False)),
    "runtime.doctor": lambda on, args: on.doctor(),
    "runtime.prepare": prepare,
    "runtime.events": lambda on, args: now(Made(on.events())),
    "runtime.shutdown": lambda on, args: on.shutdown(seconds(args.get("timeout_ms"))),
    "runtime.close": lambda on, args: now(on.close()),
    "kernels.list": lambda on, args: on.kernels(),
    "kernels.install": lambda on, args: on.install_kernel(),
    "images.pull": pull,
    "images.list": lambda on, args: on.list(),
    "images.get": lambda on, args: on.get(args["reference"], platform=platform(args.get("platform"))),
    "images.inspect": lambda on, args: on.inspect(args["reference"], platform=platform(args.get("platform"))),
    "images.tag": lambda on, args: on.tag(args["reference"], args["name"]),
    "images.remove": lambda on, args: on.remove(args["reference"], force=args.get("force", False)),
    "images.export_erofs": lambda on, args: on.export_erofs(
        args["reference"], args["file"], platform=platform(args.get("platform"))
    ),
    "images.close": lambda on, args: now(on.close()),
    "box.info": lambda on, args: on.info(),
    "box.start": lambda on, args: on.start(),
    "box.start_attached": lambda on, args: made(on.start_attached()),
    "box.exec": execute,
    "box.attach": lambda on, args: made(on.attach()),
    "box.detach": lambda on, args: on.detach(),
    "box.stop": stop,
    "box.restart": lambda on, args: on.restart(seconds(args.get("timeout_ms"))),
    "box.kill": lambda on, args: on.kill(),
    "box.signal": lambda on, args: on.signal(args["signal"]),
    "box.wait": lambda on, args: on.wait(),
    "box.metrics": lambda on, args: on.metrics(),
    "box.stat": lambda on, args: on.stat(args["path"], follow_symlinks=args.get("follow_symlinks", False)),
    "box.copy_in": lambda on, args: on.copy_in(args["host"], args["inside"], copying(args)),
    "box.copy_out": lambda on, args: on.copy_out(args["inside"], args["host"], copying(args)),
    "box.put_archive": lambda on, args: on.put_archive(args["directory"], base64.b64decode(args["bytes"])),
    "box.get_archive": archive,
    "box.logs": lambda on, args: made(on.logs(follow=args.get("follow", False), tail=args.get("tail"))),
    "box.remove": lambda on, args: on.remove(force=args.get("force", False)),
    "box.close": lambda on, args: now(on.close()),
    "execution.read": read,
    "execution.write": lambda on, args: stdin(on).write(base64.b64decode(args["bytes"])),
    "execution.close_stdin": lambda on, args: stdin(on).close(),
    "execution.output": lambda on, args: on.output(),
    "execution.wait": lambda on, args: on.wait(),
    "execution.signal": lambda on, args: on.signal(args["signal"]),
    "execution.kill": lambda on, args: on.kill(),
    "execution.resize": lambda on, args: on.resize_tty(args["rows"], args["columns"]),
    "execution.close": lambda on, args: now(on.close()),
    "events.next": lambda on, args: on.next(),
    "logs.next": lambda on, args: on.next(),
    "test.same": lambda on, args: now(on is handles[args["other"]]),
    "test.collect": lambda on, args: collect(args["on"]),
    "test.fork": forked,
}


async def made(coroutine: Awaitable[Any]) -> Made:
    return Made(await coroutine)


def describe(error: boxlite.BoxliteError) -> dict[str, Any]:
    names = ("code", "message", "operation", "context", "retryable", "hint", "source")
    return {name: getattr(error, name) for name in names}


async def answer_to(request: dict[str, Any], operation: Operation, handle: Any) -> dict[str, Any]:
    request_id = request["id"]
    try:
        args = {**(request.get("args") or {}), "id": request_id, "on": request.get("on")}
        answer = await operation(handle, args)
    except boxlite.BoxliteError as error:
        return {"id": request_id, "error": describe(error)}
    except asyncio.CancelledError:
        return {"id": request_id, "error": {"code": "Cancelled"}}
    except Exception:
        return {"id": request_id, "adapter_error": traceback.format_exc()}
    if isinstance(answer, Made):
        handles[request["as"]] = answer.handle
        answer = answer.answer
    return {"id": request_id, "ok": spell(answer)}


async def carry_out(request: dict[str, Any]) -> dict[str, Any]:
    operation, on = OPERATIONS.get(request["op"]), request.get("on")
    if operation is None or (on is not None and on not in handles):
        return {"id": request["id"], "adapter_error": f"no operation `{request['op']}`, or no handle `{on}`"}
    # The table holds the handle; a frame that did too would keep what is to be collected.
    handle = None if request["op"] == "test.collect" else handles.get(on)
    return await answer_to(request, operation, handle)


def begin(loop: asyncio.AbstractEventLoop, request: dict[str, Any]) -> None:
    def reply(task: asyncio.Task[dict[str, Any]]) -> None:
        del running[request["id"]]
        send(task.result())

    task = running[request["id"]] = loop.create_task(carry_out(request))
    task.add_done_callback(reply)


async def main() -> None:
    capabilities = ["cancel", "close_handle", "exit_signal", "fork", "gc", "identity", "main", "progress", "tty", "vm"]
    send({"hello": {"protocol": 1, "surface": "python", "version": boxlite.__version__, "capabilities": capabilities}})
    loop = asyncio.get_running_loop()
    requests = asyncio.StreamReader(limit=1 << 26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
    while line := await requests.readline():
        request = json.loads(line)
        if "cancel" in request:
            if task := running.get(request["cancel"]):
                task.cancel()
        else:
            begin(loop, request)
            # Let it take its first step: what is cancelled from here on has begun.
            await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(main())
