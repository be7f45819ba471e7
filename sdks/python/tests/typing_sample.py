"""A program that `mypy --strict` takes without a word, and that is never run: types as users see them."""

from __future__ import annotations

import boxlite
from boxlite import Box, Boxlite, BoxOptions, Event, Execution, ImageInfo, Options, sync


async def asynchronous(options: Options) -> int:
    async with await Boxlite.open(options) as runtime:
        images: list[ImageInfo] = await runtime.images.list()
        size: int = sum(image.size_bytes for image in images)
        pulled = await runtime.images.pull("debian:12-slim", progress=hear, timeout=60.0, policy="missing")
        digest: str = pulled.config_digest
        box: Box = await runtime.create(BoxOptions(digest, env={"A": "b"}), "name")
        async with box:
            execution: Execution = await box.exec("echo", ["hello"], [("A", "b")], timeout_secs=1)
            output = execution.stdout()
            if output is not None:
                async for text in output:
                    size += len(text)
                async for line in output.lines():
                    size += len(line)
                async for chunk in output.chunks():
                    size += chunk[0]
            status = await execution.wait()
            code: int = status.exit_code
        found: Box | None = await runtime.get("name")
        async for event in runtime.events():
            hear(event)
        return size + code + (0 if found is None else 1)


def hear(event: Event) -> None:
    print(event.type)


def blocking(options: Options) -> bytes:
    with sync.Boxlite(options) as runtime:
        box: sync.Box = runtime.create(BoxOptions("debian:12-slim"))
        execution: sync.Execution = box.exec("true")
        for entry in box.logs(follow=True):
            print(entry.source)
        return execution.output().stdout


def failures(error: Exception) -> str | None:
    if isinstance(error, boxlite.StoppedError):
        return error.operation
    if isinstance(error, boxlite.BoxliteError):
        return error.context.get("box", error.hint or error.code)
    return None


async def wrong(runtime: Boxlite) -> None:
    await runtime.images.pull(1)  # type: ignore[arg-type]
    await runtime.images.pull("x", policy="sometimes")  # type: ignore[arg-type]
    runtime.images.list().reference  # type: ignore[attr-defined]  # noqa: B018
    await runtime.no_such_method()  # type: ignore[attr-defined]
