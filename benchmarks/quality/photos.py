"""The validation photos: `DATA/val/<source>/{images,alphas,trimaps}`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serve_app.evaluation import match_pairs, read_alpha
from serve_app.types import UNKNOWN, Array


@dataclass(frozen=True)
class Source:
    """Where photos come from, and whether they may be shown."""

    group: str
    shows: str
    has_unknown: bool = False  # 128 in its alphas says "don't know"
    credit: str | None = None  # origin and licence of what may be shown; None: it may not


SOURCES = {
    "wanko": Source("people", "selfies and portraits"),
    "ccp": Source("people", "street fashion"),
    "pennfudan": Source("people", "pedestrians, all of the frame"),
    "caltech101_animals": Source(
        "animals", "elephants, emus, flamingos, rhinos", credit="Caltech-101, CC BY 4.0"
    ),
    "feralcats": Source("animals", "several cats a photo", credit="feral cats, MIT"),
    "pets128": Source(
        "animals", "cats and dogs, 128 px", True, "Oxford-IIIT Pet, CC BY-SA 4.0, scaled down"
    ),
    "clothing_cc0": Source(
        "products", "clothes and shoes", credit="Clothing dataset (Grigorev), CC0"
    ),
    "ecssd": Source("anything", "salient things"),
    "davis": Source("anything", "video frames"),
    "trellis": Source("true alpha", "rendered toys", credit="trellis, MIT, generated pictures"),
    "jizhizi_demo": Source("true alpha", "hair, fur, glass"),
    "alphamatting": Source("true alpha", "hair, nets, plants"),
}
OTHER = Source("anything", "not described")


@dataclass(frozen=True)
class Photo:
    """One validation photo, still encoded, and what is known of its alpha."""

    source: str
    name: str
    image: Path
    alpha: Path
    trimap: Path | None

    def truth(self) -> tuple[Array, NDArray[np.bool_]]:
        """The true alpha uint8 `[H, W]`, and where it says something, bool `[H, W]`."""
        alpha = read_alpha(self.alpha)
        if SOURCES.get(self.source, OTHER).has_unknown:
            return alpha, alpha != UNKNOWN
        return alpha, np.ones(alpha.shape, bool)


def find_photos(root: Path, limit: int = 0) -> Iterator[Photo]:
    """Yield every pair under `root/<source>`, at most `limit` of a source, evenly spread."""
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        pairs = match_pairs(folder / "images", folder / "alphas")
        if limit and len(pairs) > limit:
            pairs = [pairs[i * len(pairs) // limit] for i in range(limit)]
        for pair in pairs:
            trimap = folder / "trimaps" / f"{pair.name}.png"
            yield Photo(
                folder.name, pair.name, pair.image, pair.alpha, trimap if trimap.exists() else None
            )
