"""What crosses the borders between stages. Sizes are `(height, width)` in pixels everywhere.

    Upload -> Source -> Prepared -> Prediction -> Result

Arrays are uint8 and C-contiguous; colours are sRGB, alpha is straight (not premultiplied).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.uint8]
Size: TypeAlias = tuple[int, int]

BACKGROUND, UNKNOWN, FOREGROUND = 0, 128, 255  # the values of a trimap


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels; empty when its height or width is 0."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Upload:
    """The files of one request, as they came."""

    image: bytes
    background_image: bytes | None = None
    trimap: bytes | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A decoded file: upright, sRGB, nothing of its metadata left but the resolution."""

    image: Array  # [H, W, 3]; white where the file's own alpha is 0
    alpha: Array | None  # [H, W], the file's own alpha, None where it has none or is opaque
    dpi: tuple[float, float] | None  # horizontal, vertical

    @property
    def size(self) -> Size:
        return self.image.shape[0], self.image.shape[1]


@dataclass(frozen=True, slots=True)
class Geometry:
    """How an image was brought to the network: scaled down, then padded right and below."""

    original: Size
    network: Size  # after scaling
    padded: Size  # after padding: the shape bucket


@dataclass(frozen=True, slots=True)
class Prepared:
    """One image on its way to the network, with what the stages after it need."""

    source: Source  # at the size of the answer
    rgb: Array  # [h, w, 3], padded
    trimap: Array  # [h, w], padded; UNKNOWN everywhere if none was given
    known: Array | None  # [H, W], the given trimap at the size of the answer
    background: Array | None  # [any, any, 3], the given background image
    geometry: Geometry  # of the region that the network sees
    original: Size  # of the upload, upright
    region: Box  # what the network saw, at the size of the answer
    roi: Box  # within it, what may be foreground; all else is background
    timings: Mapping[str, float] = field(default_factory=dict)  # ms by stage


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the network said of one image."""

    alpha: Array  # [h, w], still padded
    model: str  # what predicted it, for the X-Model header
    batch_size: int
    timings: Mapping[str, float] = field(default_factory=dict)  # ms by stage


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one request."""

    body: bytes
    media_type: str
    size: Size  # of the encoded image
    original: Size  # of the upload, upright
    foreground: Box  # the subject within the encoded image
    model: str
    batch_size: int
    timings: Mapping[str, float] = field(default_factory=dict)  # ms by stage
