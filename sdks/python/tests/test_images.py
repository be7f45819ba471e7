"""The image handle, as its users see it."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import boxlite
import pytest
from boxlite import Boxlite
from registry import Registry


async def test_a_pulled_image_is_listed_got_inspected_tagged_and_removed(runtime: Boxlite, registry: Registry) -> None:
    reference = registry.push("app:1")
    pulled = await runtime.images.pull(reference)
    assert (pulled.reference, pulled.layer_count, pulled.cached) == (reference, 1, False)
    assert pulled.bytes_fetched > 30_000 and str(pulled.platform) == "linux/amd64"
    assert (await runtime.images.pull(reference)).cached

    [listed] = await runtime.images.list()
    assert (listed.reference, listed.tag, listed.id) == (reference, "1", pulled.id)
    assert listed.repository == reference.removesuffix(":1")
    assert listed.size == listed.size_bytes > 30_000 and listed.config_digest == pulled.config_digest
    assert await runtime.images.get(reference) == listed
    details = await runtime.images.inspect(reference, platform="linux/amd64")
    assert details.references == [reference] and len(details.layers) == 1
    assert details.layers[0].entries > 0 and isinstance(details.config, boxlite.ImageConfig)

    tagged = await runtime.images.tag(reference, "localhost/mine:2")
    assert tagged.id == pulled.id
    assert await runtime.images.usage() == boxlite.ImageUsage(1, listed.size_bytes)
    removed = await runtime.images.remove(reference)
    assert removed.untagged == [reference] and removed.deleted == []
    assert (await runtime.images.remove("localhost/mine:2")).deleted == [pulled.id]
    assert await runtime.images.list() == []


async def test_an_exported_image_is_a_filesystem(runtime: Boxlite, registry: Registry, tmp_path: Path) -> None:
    reference = registry.push("app:1")
    await runtime.images.pull(reference)
    await runtime.images.export_erofs(reference, tmp_path / "root.erofs")
    subprocess.run(["fsck.erofs", tmp_path / "root.erofs"], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("policy", "expected"), [("never", boxlite.NotFoundError), ("sometimes", boxlite.InvalidArgumentError)]
)
async def test_a_policy_is_kept(
    runtime: Boxlite, registry: Registry, policy: boxlite._options.PullPolicy, expected: type[boxlite.BoxliteError]
) -> None:
    reference = registry.push("app:1")
    with pytest.raises(expected):
        await runtime.images.pull(reference, policy=policy)


async def test_an_error_is_data(runtime: Boxlite, registry: Registry) -> None:
    with pytest.raises(boxlite.NotFoundError) as caught:
        await runtime.images.pull(f"{registry.host}/nothing:1")
    error = caught.value
    assert (error.code, error.number, error.operation) == ("NotFound", 2, "images.pull")
    assert error.context["reference"] == f"{registry.host}/nothing:1"
    assert error.context["registry"] == registry.host
    assert error.hint and error.hint not in error.message and error.hint in str(error)
    assert not error.retryable and isinstance(error, boxlite.BoxliteError)


async def test_progress_is_told_in_order_in_the_loop_s_own_thread(runtime: Boxlite, registry: Registry) -> None:
    loop, events = asyncio.get_running_loop(), []

    def hear(event: boxlite.Event) -> None:
        assert asyncio.get_running_loop() is loop
        events.append(event)

    reference = registry.push("app:1")
    pulled = await runtime.images.pull(reference, progress=hear)
    types = [event.type for event in events]
    assert types[:2] == ["resolving", "resolved"] and types[-1] == "done" and "layer_done" in types
    assert events[0].reference == reference and events[1].id == pulled.id and events[-1].cached is False
    with pytest.raises(AttributeError):
        _ = events[0].received_bytes


async def test_what_a_progress_callback_raises_ends_the_pull_and_is_raised(runtime: Boxlite, registry: Registry) -> None:
    reference = registry.push("app:1")
    registry.hold("blobs", "g")

    def refuse(event: boxlite.Event) -> None:
        raise ZeroDivisionError(event.type)

    with pytest.raises(ZeroDivisionError, match="resolving"):
        await runtime.images.pull(reference, progress=refuse)
    registry.open("g")
    assert await runtime.images.list() == []
    assert not (await runtime.images.pull(reference)).cached


async def test_a_pull_is_an_iteration_over_its_events(runtime: Boxlite, registry: Registry) -> None:
    reference = registry.push("app:1")
    stream = runtime.images.pull_stream(reference)
    types = [event.type async for event in stream]
    assert types[0] == "resolving" and types[-1] == "done"
    assert (await stream.result()).reference == reference

    failing = runtime.images.pull_stream(f"{registry.host}/nothing:1")
    with pytest.raises(boxlite.NotFoundError):
        async for _ in failing:
            pass


async def test_a_pull_stream_that_is_left_is_given_up(runtime: Boxlite, registry: Registry) -> None:
    reference = registry.push("app:1")
    registry.hold("blobs", "g")
    async with runtime.images.pull_stream(reference) as stream:
        async for event in stream:
            if event.type == "resolving":
                break
    # The end of `async with` waited until the pull had rolled back.
    assert await runtime.images.list() == []
    registry.open("g")


def test_runtime_images_is_the_identical_object_and_cannot_be_replaced(runtime: Boxlite) -> None:
    images = runtime.images
    assert all(runtime.images is images for _ in range(1000))
    with pytest.raises(AttributeError):
        runtime.images = images
