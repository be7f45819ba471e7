"""What the library says of images: plain data, copied, never changing.

Field names are those of the library's own types, times are seconds since the Unix epoch. `of` takes the dictionary that the
native module makes of a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Platform:
    """What an image was built for. `str()` gives `os/architecture[/variant]`."""

    os: str
    #: Go's name of it, as `amd64`.
    architecture: str
    variant: str | None = None

    def __str__(self) -> str:
        """Return the platform as it is written."""
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True)
class ImageInfo:
    """One reference held in the store."""

    #: `host/repository:tag`, or `host/repository@digest`.
    reference: str
    repository: str
    #: Empty for a reference by digest.
    tag: str
    #: Manifest digest: the identity of the image for its platform.
    id: str
    config_digest: str
    platform: Platform
    #: When this reference was last set.
    cached_at: int
    last_used_at: int
    #: When the image was built, as its configuration says (RFC 3339).
    created: str | None
    #: What a pull of it transfers.
    size_bytes: int
    unpacked_bytes: int
    layer_count: int

    @property
    def size(self) -> int:
        """Same as `size_bytes`."""
        return self.size_bytes

    @staticmethod
    def of(fields: dict[str, Any]) -> ImageInfo:
        """Make one of what the native module says."""
        return ImageInfo(**{**fields, "platform": Platform(**fields["platform"])})


@dataclass(frozen=True)
class ImageConfig:
    """What an image tells a box about how it wants to be run."""

    entrypoint: list[str]
    command: list[str]
    #: As `NAME=value`.
    env: list[str]
    working_dir: str
    user: str
    stop_signal: str
    labels: dict[str, str]
    exposed_ports: list[str]
    volumes: list[str]


@dataclass(frozen=True)
class LayerInfo:
    """One layer of an image."""

    digest: str
    diff_id: str
    media_type: str
    size_bytes: int
    entries: int


@dataclass(frozen=True)
class ImageDetails(ImageInfo):
    """Everything known of one image."""

    #: Every reference that names it.
    references: list[str]
    config: ImageConfig
    #: Lowest first.
    layers: list[LayerInfo]
    #: The command of each step, with whether it made no layer.
    history: list[tuple[str, bool]]

    @staticmethod
    def of(fields: dict[str, Any]) -> ImageDetails:
        """Make one of what the native module says."""
        return ImageDetails(
            **{
                **fields,
                "platform": Platform(**fields["platform"]),
                "config": ImageConfig(**fields["config"]),
                "layers": [LayerInfo(**layer) for layer in fields["layers"]],
            }
        )


@dataclass(frozen=True)
class ImagePullResult:
    """What a finished pull gives back."""

    reference: str
    #: Manifest digest for the platform.
    id: str
    config_digest: str
    platform: Platform
    layer_count: int
    #: Whether every blob was held already.
    cached: bool
    #: Bytes this pull itself received from the registry.
    bytes_fetched: int

    @staticmethod
    def of(fields: dict[str, Any]) -> ImagePullResult:
        """Make one of what the native module says."""
        return ImagePullResult(**{**fields, "platform": Platform(**fields["platform"])})


@dataclass(frozen=True)
class RemovedImage:
    """What a removal did."""

    #: References that no longer name anything.
    untagged: list[str]
    #: Manifest digests of images of which nothing is left.
    deleted: list[str]
    bytes_freed: int


@dataclass(frozen=True)
class ImageUsage:
    """How much the images of a home are."""

    #: Number of distinct images.
    count: int
    #: Their compressed bytes.
    known_bytes: int
    #: There is no limit.
    limit: int | None = None
