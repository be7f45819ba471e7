# Generated from `_images.py` by tools/blocking.py; change it there.
"""The image handle: the operations of the store."""

from __future__ import annotations

import os

from .. import _native
from .._blocking import run
from .._handle import Handle
from .._image_data import ImageDetails, ImageInfo, ImagePullResult, ImageUsage, RemovedImage
from .._options import PullPolicy, StrPath
from .._progress import Progress, told
from ._pull_stream import SyncPullStream

Infos = list[ImageInfo]


def usage_of(images: Infos) -> ImageUsage:
    """Count what is held, each image once."""
    sizes = {image.id: image.size_bytes for image in images}
    return ImageUsage(len(sizes), sum(sizes.values()))


class SyncImageHandle(Handle[_native.Images]):
    """The images of a home.

    One object per runtime: `runtime.images` is the same one each time. It may outlive the runtime: from then on every
    operation raises `StoppedError`.
    """

    __slots__ = ()
    _what = "image"

    def pull(
        self,
        reference: str,
        *,
        platform: str | None = None,
        policy: PullPolicy = "always",
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> ImagePullResult:
        """Fetch an image, verify every byte of it, and make it ready to run.

        `progress` is called in the loop with each event; what it raises ends the pull and is raised from here. Cancelled,
        or after `timeout` seconds, the pull stops at once and leaves partial downloads that the next one resumes.
        """
        operation = self._open().pull(reference, platform, policy, progress is not None)
        return ImagePullResult.of(run(operation, timeout=timeout, progress=told(progress)))

    def pull_stream(self, reference: str, *, platform: str | None = None, policy: PullPolicy = "always") -> SyncPullStream:
        """Pull as an iteration over its events: `for event in images.pull_stream(...)`."""
        return SyncPullStream(self._open().pull(reference, platform, policy, True))

    def list(self) -> Infos:
        """List every reference held, by name."""
        return [ImageInfo.of(image) for image in run(self._open().list())]

    def get(self, reference: str, *, platform: str | None = None) -> ImageInfo:
        """Return what is held under a reference, a digest, or the unambiguous beginning of one."""
        return ImageInfo.of(run(self._open().get(reference, platform)))

    def inspect(self, reference: str, *, platform: str | None = None) -> ImageDetails:
        """Return everything known of an image: configuration, layers, history, and all its names."""
        return ImageDetails.of(run(self._open().inspect(reference, platform)))

    def tag(self, reference: str, name: str) -> ImageInfo:
        """Make `name` name the image that `reference` names; a name that exists is moved."""
        return ImageInfo.of(run(self._open().tag(reference, name)))

    def remove(self, reference: str, *, force: bool = False) -> RemovedImage:
        """Remove a name and, with its last one, the image.

        Raises `InUseError` if a box needs it, unless `force` is set: then the name goes, and the bytes stay until the box
        is removed.
        """
        return RemovedImage(**run(self._open().remove(reference, force)))

    def export_erofs(
        self, reference: str, file: StrPath, *, platform: str | None = None, timeout: float | None = None
    ) -> None:
        """Write the root filesystem of an image as one self-contained EROFS file."""
        run(self._open().export_erofs(reference, platform, os.fspath(file)), timeout=timeout)

    def usage(self) -> ImageUsage:
        """Count the images held, and their bytes. `runtime.usage()` says what the whole home takes."""
        return usage_of(self.list())
