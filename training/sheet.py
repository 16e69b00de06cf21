"""One picture of many: training samples, or predictions next to what they should be."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from serve_app.models.unet import UNetMatting
from training.batches import Batch
from training.validate import Example, predict

_TILE = 200  # px
_GREEN = (0, 177, 64)  # of a studio's screen: shows what was left over and what was lost


def tile(array: np.ndarray, side: int = _TILE) -> np.ndarray:
    """Fit uint8 HW or HWC into a square of `side` pixels, HWC RGB."""
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, 2)
    scale = side / max(array.shape[:2])
    height, width = (max(1, round(n * scale)) for n in array.shape[:2])
    square = np.full((side, side, 3), 90, np.uint8)
    square[:height, :width] = cv2.resize(array, (width, height), interpolation=cv2.INTER_AREA)
    return square


def write_sheet(path: Path, rows: Sequence[Sequence[np.ndarray]], across: int = 1) -> None:
    """Write rows of pictures, each uint8 HW or HWC RGB, to a PNG; `across` rows stand abreast."""
    strips = [np.hstack([tile(picture) for picture in row]) for row in rows]
    strips += [np.zeros_like(strips[0])] * (-len(strips) % across)
    lines = [np.hstack(strips[i : i + across]) for i in range(0, len(strips), across)]
    sheet = np.vstack(lines)
    if not cv2.imwrite(str(path), sheet[..., ::-1]):
        raise OSError(f"'{path}' cannot be written")


def prediction_rows(model: UNetMatting, examples: Sequence[Example]) -> list[list[np.ndarray]]:
    """Image, predicted alpha, cutout on green and true alpha of each example."""
    rows = []
    for example in examples:
        alpha = predict(model, example.image)
        weight = alpha[..., None] / 255
        cutout = example.image * weight + np.array(_GREEN) * (1 - weight)
        rows.append([example.image, alpha, cutout.round().astype(np.uint8), example.alpha])
    return rows


def batch_rows(batch: Batch) -> list[list[np.ndarray]]:
    """Image, alpha, trust and trimap of each picture of a batch."""
    return [
        [
            batch.rgb[i].cpu().numpy(),
            (batch.alpha[i, 0] * 255).byte().cpu().numpy(),
            (batch.trusted[i, 0] * 127).byte().cpu().numpy(),
            batch.trimap[i].cpu().numpy(),
        ]
        for i in range(len(batch.rgb))
    ]
