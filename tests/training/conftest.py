"""A small collection of photos with alphas: soft discs on noise, written as a user would."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.data import Collection, load_collection
from training.settings import Canvas, Settings, Source, Stage

SIZE = (80, 96)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def disc(size: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    """A soft disc, uint8 HW."""
    y, x = np.mgrid[: size[0], : size[1]]
    distance = np.hypot(y - centre[0], x - centre[1])
    return (np.clip((radius - distance) / 3 + 0.5, 0, 1) * 255).round().astype(np.uint8)


def write_pair(folder: Path, name: str, image: np.ndarray, alpha: np.ndarray) -> None:
    for kind, array in (("images", image), ("alphas", alpha)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(folder / kind / f"{name}.png")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for i in range(4):
            alpha = disc(SIZE, (30 + 5 * i, 60 - 8 * i), 18)
            image = rng.integers(0, 110, (*SIZE, 3), np.uint8)
            image[alpha > 127] += np.uint8(140)
            write_pair(tmp_path / "data" / split / "discs", f"{i}", image, alpha)
    backgrounds = tmp_path / "data" / "train" / "backgrounds" / "images"
    backgrounds.mkdir(parents=True)
    for i in range(2):
        Image.fromarray(rng.integers(0, 255, (*SIZE, 3), np.uint8)).save(backgrounds / f"{i}.png")
    return tmp_path / "data"


@pytest.fixture
def settings() -> Settings:
    canvas = Canvas(size=(64, 64), batch=4)
    return Settings(
        seed=1,
        steps=6,
        sources={"discs": Source(weight=1, cutout=1, soft=True)},
        stages=(Stage(until=1.0, canvases=(canvas,)),),
    )


@pytest.fixture
def collection(data: Path, settings: Settings, tmp_path: Path) -> Collection:
    return load_collection(data / "train", settings, torch.device("cpu"), tmp_path / "solved")
