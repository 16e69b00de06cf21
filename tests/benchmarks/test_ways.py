"""The ladder's rungs and the steps of an image: they run, and differ where they say."""

from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.photos import PHOTO, scaled
from benchmarks.rungs import ladder, seconds_per_image
from benchmarks.steps import STEPS, steps_of
from serve_app.settings import ModelSettings

MODEL = ModelSettings().model_path


@pytest.mark.parametrize("network", ["cvunet", "unet32"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_each_rung_changes_one_thing(network: str, device: str) -> None:
    rungs = [asdict(rung) for rung in ladder(network, device, Path("absent.safetensors"))]
    for before, after in pairwise(rungs):
        changed = {k for k in before if k != "name" and before[k] != after[k]}
        # Another network may need another compiler: that is one change too.
        assert len(changed - {"engine"}) == 1 or changed == {"engine"}, after["name"]
    assert not rungs[0]["keeps_weights"]
    last = rungs[-1]
    assert (last["is_light"], last["limit"], last["network"]) == (True, 1024, "cvunet")
    assert any(rung["precision"] == "fp16" for rung in rungs) == (device == "cuda")


@pytest.mark.parametrize("index", [0, -1])
def test_a_rung_works(index: int) -> None:
    rung = ladder("cvunet", "cpu", MODEL)[index]
    photo = scaled(PHOTO, (128, 96))
    (seconds,) = seconds_per_image(rung, [photo], MODEL, "original", 0.01, 1)
    assert seconds > 0


def test_every_step_of_an_image_is_timed() -> None:
    steps = steps_of(scaled(PHOTO, (1200, 640)), 1)
    assert set(steps) == set(STEPS)
    for name, (wall, cpu) in steps.items():
        assert name == "other" or (wall > 0 and cpu >= 0), name
