"""Fits what weighs a trimap's evidence: python -m training.weighing --data DATA

Cutouts with soft alphas, and such as were grown on cutouts with hard ones, before other backgrounds
and with trimaps as people draw them: of these the alpha is known. The network, as it is, gives its
own alpha of each. It has seen these photos while it learned, so of most it is shown a picture with
other colours, blur and noise: photos it knows by heart flatter it.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from serve_app.engines import Engine, open_engine
from serve_app.evaluation import match_pairs, read_alpha
from serve_app.imaging.colour_flow import flow
from serve_app.imaging.decode import decode
from serve_app.imaging.evidence import NETWORK, SOLVED, evidence
from serve_app.imaging.foreground import estimate_foreground
from serve_app.imaging.geometry import from_network, plan, shrink, to_network
from serve_app.imaging.weighing import WEIGHTS
from serve_app.settings import ROOT, Limits, ModelSettings, Settings
from serve_app.types import BACKGROUND, FOREGROUND, UNKNOWN
from training.grown import grow_cutout
from training.trimap import say

SOFT = {"jizhizi_demo": 3, "trellis": 1}  # how often each of their cutouts is used
GROWN = {"davis": 14, "ccp": 26, "feralcats": 20, "caltech101_animals": 20, "clothing_cc0": 10}
GROWN |= {"ecssd": 12, "wanko": 8}
AS_THEY_ARE = {"jizhizi_demo": 8, "davis": 16}  # photos; of these masks only the outlines are good
_SIDE = 800  # px, longest
_STRANGE = 0.6  # share of photos that the network is shown changed
_PIXELS = 6000  # of each photo's band
_HIDDEN = 16
_STEPS, _BATCH, _RATE = 4000, 2048, 3e-3


@dataclass(frozen=True)
class Case:
    """A picture uint8 `[h, w, 3]`, its alpha and a trimap uint8 `[h, w]`."""

    image: np.ndarray
    alpha: np.ndarray
    trimap: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.weighing", description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--model", type=Path, default=ModelSettings().model_path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(arguments.seed)
    engine = open_engine(ModelSettings(model_path=arguments.model, device="cpu", threads=1))
    rows, truths = [], []
    for case in cases(arguments.data / "train", rng):
        found = observe(case, engine, rng)
        if found is not None:
            rows.append(found[0])
            truths.append(found[1])
    print(f"{len(rows)} pictures")
    fitted = fit(np.stack(rows), np.stack(truths), arguments.seed)
    np.savez(arguments.out, **fitted)


def cases(train: Path, rng: np.random.Generator) -> Iterator[Case]:
    """All pictures, in an order that is the same every time."""
    backgrounds = sorted((train / "backgrounds" / "images").iterdir())

    def before_another(colour: np.ndarray, alpha: np.ndarray) -> Case:
        background = read(backgrounds[rng.integers(len(backgrounds))])
        return drawn(composite(colour, alpha, background, rng), alpha, rng)

    for source, count in AS_THEY_ARE.items():
        for image, alpha in some(train / source, count, rng):
            yield drawn(image, alpha, rng)
    for source, times in SOFT.items():
        for image, alpha in some(train / source, None, rng):
            for _ in range(times):
                yield before_another(estimate_foreground(image, alpha), alpha)
    for source, count in GROWN.items():
        for image, alpha in some(train / source, count, rng):
            grown = grow_cutout(image, alpha, int(rng.integers(1 << 31)))
            if grown is not None:
                yield before_another(*grown)


def some(
    folder: Path, count: int | None, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Photos of a source and their alphas; all of them without a count."""
    pairs = match_pairs(folder / "images", folder / "alphas")
    for i in rng.permutation(len(pairs))[:count]:
        yield read(pairs[i].image), fitting(read_alpha(pairs[i].alpha))


def read(path: Path) -> np.ndarray:
    return fitting(decode(path.read_bytes(), Limits()).image)


def fitting(array: np.ndarray) -> np.ndarray:
    scale = min(1, _SIDE / max(array.shape))
    return shrink(array, (round(array.shape[0] * scale), round(array.shape[1] * scale)))


def composite(
    colour: np.ndarray, alpha: np.ndarray, background: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A cutout before a background, often out of focus, as a camera would store it."""
    height, width = alpha.shape
    scale = max(height / background.shape[0], width / background.shape[1])
    size = tuple(int(np.ceil(side * scale)) for side in background.shape[1::-1])
    large = cv2.resize(background, size, interpolation=cv2.INTER_AREA)
    top, left = (
        rng.integers(long - own + 1) for long, own in zip(large.shape[:2], alpha.shape, strict=True)
    )
    back = large[top : top + height, left : left + width].astype(np.float32)
    if rng.random() < 0.6:
        back = cv2.GaussianBlur(back, (0, 0), rng.uniform(1, 6))
    weight = alpha[..., None] / np.float32(255)
    mixed = weight * colour + (1 - weight) * back + rng.normal(0, rng.uniform(0.5, 3), colour.shape)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(85, 97))]
    _, stored = cv2.imencode(".jpg", np.rint(mixed.clip(0, 255)).astype(np.uint8), quality)
    return cv2.imdecode(stored, cv2.IMREAD_COLOR)


def drawn(image: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> Case:
    """With a trimap: most leave a band around all that is soft, some are a few strokes."""
    chance = torch.Generator().manual_seed(int(rng.integers(1 << 31)))
    given = torch.tensor(alpha)[None, None] / 255
    known = say(given, chance)[0][0, 0].numpy()
    sure = np.where(alpha > 127, np.uint8(FOREGROUND), np.uint8(BACKGROUND))
    return Case(image, alpha, np.where(known, sure, np.uint8(UNKNOWN)))


def observe(
    case: Case, engine: Engine, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray] | None:
    """Evidence `[pixels, 25]` and true alpha 0-1 `[pixels]`. None where nothing can be solved."""
    geometry = plan(case.alpha.shape, max(case.alpha.shape), Settings().batching.bucket_step)
    shown = strange(case.image, rng) if rng.random() < _STRANGE else case.image
    seen = to_network(shown, geometry)[None], to_network(case.trimap, geometry)[None]
    alpha = from_network(engine.predict(*seen)[0], geometry)
    found = flow(case.image, case.trimap, alpha)
    if found is None:
        return None
    rows = evidence(alpha, case.trimap, found)
    chosen = rng.integers(len(rows), size=_PIXELS)
    truth = case.alpha[case.trimap == UNKNOWN][chosen] / np.float32(255)
    return rows[chosen], truth


def strange(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same picture in other colours, another light, out of focus and noisy."""
    mix = np.eye(3) + rng.normal(0, 0.25, (3, 3))
    x = (image / 255) @ (mix / mix.sum(1, keepdims=True)).T
    x = x.clip(0, 1) ** np.exp(rng.normal(0, 0.4))
    x = (x - 0.5) * np.exp(rng.normal(0, 0.3)) + 0.5 + rng.normal(0, 0.05)
    if rng.random() < 0.5:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.5, 2.5))
    x = x + rng.normal(0, rng.uniform(0, 0.06), x.shape)
    return np.rint(x.clip(0, 1) * 255).astype(np.uint8)


def fit(rows: np.ndarray, truths: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Weights for pictures' `rows` `[pictures, pixels, 25]`, each picture counting alike."""
    torch.manual_seed(seed)
    x = torch.from_numpy(rows).flatten(0, 1)
    y = torch.from_numpy(truths).flatten()
    mean, deviation = x.mean(0), x.std(0) + 1e-3
    layers = [nn.Linear(x.shape[1], _HIDDEN), nn.Linear(_HIDDEN, _HIDDEN), nn.Linear(_HIDDEN, 1)]
    optimizer = torch.optim.AdamW(nn.ModuleList(layers).parameters(), _RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    for _ in range(_STEPS):
        chosen = torch.randint(len(x), (_BATCH,))
        out = (x[chosen] - mean) / deviation
        for layer in layers[:-1]:
            out = F.relu(layer(out))
        middle = (x[chosen, NETWORK] + x[chosen, SOLVED]) / 2
        off = middle + layers[-1](out)[:, 0] - y[chosen]
        loss = off.abs().mean() + (off**2).mean() / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    print(f"loss {loss.item():.4f}")
    with torch.no_grad():  # it takes evidence as it comes
        layers[0].bias -= layers[0].weight @ (mean / deviation)
        layers[0].weight /= deviation
    return {
        f"{name}{i}": np.ascontiguousarray(values.detach().numpy().T)
        for i, layer in enumerate(layers)
        for name, values in (("weight", layer.weight), ("bias", layer.bias))
    }


if __name__ == "__main__":
    main()
