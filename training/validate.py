"""Scores on photos that were never trained on, seen exactly as the service shows them."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from serve_app.evaluation import Scores, mean_scores, overlap, score
from serve_app.imaging.geometry import from_network, plan, to_network
from serve_app.models.unet import UNetMatting
from serve_app.types import UNKNOWN
from training.data import read_pairs
from training.settings import Source

_MAX_SIDE = 1024  # px, as the service's default
_BUCKET = 64  # px; the service pads heights and widths to multiples of this


@dataclass(frozen=True, slots=True)
class Example:
    """A validation photo."""

    source: str
    name: str
    image: np.ndarray  # uint8 HWC RGB
    alpha: np.ndarray  # uint8 HW
    known: np.ndarray  # bool HW: where the alpha says something
    soft: bool  # the alpha is a true matte


def load_examples(root: Path, sources: Mapping[str, Source]) -> list[Example]:
    """Every pair under `root/<source>`, also of sources that are not trained on."""
    examples = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        source = sources.get(folder.name, Source())
        for path, image, alpha in read_pairs(folder):
            known = alpha != UNKNOWN if source.three_valued else np.ones(alpha.shape, bool)
            examples.append(Example(folder.name, path.stem, image, alpha, known, source.soft))
    return examples


def some(examples: list[Example], count: int) -> list[Example]:
    """A fixed selection, the same on every call."""
    return random.Random(0).sample(examples, min(count, len(examples)))


@torch.inference_mode()
def predict(model: UNetMatting, image: np.ndarray) -> np.ndarray:
    """Alpha uint8 HW of an image uint8 HWC RGB, at its own size."""
    geometry = plan(image.shape[:2], _MAX_SIDE, _BUCKET)
    rgb = torch.from_numpy(to_network(image, geometry))[None].to(model.mean.device)
    trimap = torch.full(rgb.shape[:3], UNKNOWN, dtype=torch.uint8, device=rgb.device)
    alpha = from_network(model(rgb, trimap)[0].cpu().numpy(), geometry)
    if geometry.network != geometry.original:
        alpha = cv2.resize(alpha, geometry.original[::-1], interpolation=cv2.INTER_LINEAR)
    return alpha


def quick_scores(model: UNetMatting, examples: list[Example]) -> dict[str, float]:
    """Mean IoU and mean absolute difference over all images."""
    ious, differences = [], []
    for example in examples:
        alpha, truth = predict(model, example.image)[example.known], example.alpha[example.known]
        ious.append(overlap(alpha, truth))
        differences.append(np.abs(alpha / 255 - truth / 255).mean())
    return {"iou": float(np.mean(ious)), "mad": float(np.mean(differences))}


def soft_differences(model: UNetMatting, examples: list[Example]) -> dict[str, float]:
    """The mean absolute difference over the images of each source, by its name."""
    names = sorted({example.source for example in examples})
    groups = {name: [e for e in examples if e.source == name] for name in names}
    return {name: quick_scores(model, group)["mad"] for name, group in groups.items()}


def all_scores(model: UNetMatting, examples: list[Example]) -> list[Scores]:
    """All measures of each image."""
    return [score(predict(model, e.image), e.alpha, e.known) for e in examples]


def by_source(examples: list[Example], scores: list[Scores]) -> dict[str, Scores]:
    """The mean of each source, in name order, and of all images as "all"."""
    names = sorted({example.source for example in examples})
    means = {
        name: mean_scores([s for e, s in zip(examples, scores, strict=True) if e.source == name])
        for name in names
    }
    return means | {"all": mean_scores(scores)}
