"""The open handle to a home."""

from __future__ import annotations

from types import TracebackType

from . import _native
from ._asyncio import run
from ._base import Base
from ._box import Box
from ._box_data import BoxInfo
from ._error import from_failure
from ._error_codes import AlreadyExistsError, NotFoundError, StoppedError
from ._home_data import CheckReport, DoctorReport, KernelInfo, RuntimeMetrics, UsageReport
from ._images import ImageHandle
from ._options import BoxOptions, Options, PullPolicy
from ._prepare import Stages, resources, stages
from ._streams import Events

#: Seconds a shutdown may take if the caller does not say.
SHUTDOWN_TIMEOUT = 10.0


class Boxlite(Base):
    """The open handle to a home.

    Close it with `await shutdown()`, `close()`, `with` or `async with`; collected as garbage, it closes itself. From then
    on every handle made from it raises `StoppedError`, and nothing in this process touches the home.
    """

    __slots__ = ()
    images: ImageHandle

    @staticmethod
    def _image_handle(native: _native.Runtime) -> ImageHandle:
        images = native.images()
        assert images is not None
        return ImageHandle(images)

    @classmethod
    async def open(cls, options: Options | None = None) -> Boxlite:
        """Open a home as the constructor does, without holding up the loop."""
        runtime = cls.__new__(cls)
        runtime._adopt(
            await run(_native.Runtime.open((options or Options())._native()), discard=lambda native: native.close())
        )
        return runtime

    async def create(self, options: BoxOptions, name: str | None = None, *, pull: PullPolicy = "missing") -> Box:
        """Make a box, and pull its image if that is not held, unless `pull` says otherwise. Nothing runs yet."""
        spec = options._native(name)
        if pull == "always":
            await self.images.pull(spec["image"], platform=options.platform)
        try:
            native = await run(self._native.create(spec, options.platform), discard=_forget)
        except NotFoundError:
            if pull != "missing":
                raise
            await self.images.pull(spec["image"], platform=options.platform, policy="missing")
            native = await run(self._native.create(spec, options.platform), discard=_forget)
        return Box(native, name)

    async def get(self, id_or_name: str) -> Box | None:
        """Find a box by its name, its id or a unique prefix of its id; `None` if there is none."""
        try:
            return Box(await run(self._native.get(id_or_name)))
        except NotFoundError:
            return None

    async def get_or_create(self, options: BoxOptions, name: str | None = None) -> tuple[Box, bool]:
        """Find the box of that name, or make it. Returns whether it was made."""
        if name is None:
            return await self.create(options), True
        found = await self.get(name)
        if found is not None:
            return found, False
        try:
            return await self.create(options, name), True
        except AlreadyExistsError:
            # Somebody else was quicker.
            return Box(await run(self._native.get(name))), False

    async def list_info(self) -> list[BoxInfo]:
        """List all boxes of the home, newest first, as they are now: also those of other processes."""
        return [BoxInfo.of(box) for box in await run(self._native.list())]

    async def get_info(self, id_or_name: str) -> BoxInfo | None:
        """Return what is known of a box; `None` if there is none."""
        found = await self.get(id_or_name)
        return None if found is None else await found.info()

    async def remove(self, id_or_name: str, force: bool = False) -> None:
        """Remove a box and its disk; one that runs only if `force` is set, which kills it."""
        await run(self._native.remove(id_or_name, force))

    async def metrics(self) -> RuntimeMetrics:
        """Return what this runtime has done."""
        return RuntimeMetrics(**await run(self._native.metrics()))

    async def usage(self) -> UsageReport:
        """Measure what takes space in the home."""
        return UsageReport(**await run(self._native.usage()))

    async def check(self, *, repair: bool = False, timeout: float | None = None) -> CheckReport:
        """Examine the whole home, every byte of every image; mend what can be mended if `repair` is set."""
        return CheckReport.of(await run(self._native.check(repair), timeout=timeout))

    async def doctor(self) -> DoctorReport:
        """Look at whether boxes can run on this host, and say what to do if not."""
        return DoctorReport.of(await run(self._native.doctor()))

    async def prepare(
        self, options: BoxOptions | None = None, *, progress: Stages | None = None, timeout: float | None = None
    ) -> None:
        """Do now what the first start of such a box would do: kernel, accelerator, warm template."""
        operation = self._native.prepare(resources(options))
        await run(operation, timeout=timeout, progress=stages(progress))

    async def kernels(self) -> list[KernelInfo]:
        """List the guest kernels of the home, the one installed last first."""
        return [KernelInfo(**kernel) for kernel in await run(self._native.kernels())]

    async def install_kernel(self, package: str | None = None, *, timeout: float | None = None) -> KernelInfo:
        """Install a guest kernel: the distribution's own, or that of a package file."""
        return KernelInfo(**await run(self._native.install_kernel(package), timeout=timeout))

    def events(self) -> Events:
        """Listen to what happens in this runtime from now on: `async for event in runtime.events()`."""
        failure, native = self._native.check_open(), self._native.events()
        if failure is not None or native is None:
            raise from_failure(failure) if failure else StoppedError("the runtime has been shut down")
        return Events(native)

    async def shutdown(self, timeout: float | None = None) -> None:
        """Shut down within `timeout` seconds, 10 if `None`.

        From the call on every new operation on this runtime and on all its handles raises `StoppedError`. What is under
        way is cancelled and rolls back, boxes that are not detached are stopped. When this returns, the home can be opened
        again, or deleted, at once. May be called again, and by several at once. Raises `TimeoutError` if something had to
        be given up to keep the deadline.
        """
        await run(self._native.shutdown(SHUTDOWN_TIMEOUT if timeout is None else timeout))

    async def __aenter__(self) -> Boxlite:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Shut down."""
        await self.shutdown()


async def _forget(native: _native.Box) -> None:
    """Take a box back whose maker gave up."""
    await run(native.remove(True))
