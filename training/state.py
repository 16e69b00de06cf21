"""The whole of a run on disk, so that it goes on after any end, `kill -9` included."""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from serve_app.models.unet import UNetMatting


@dataclass(slots=True)
class State:
    """What has to survive; the settings and the data are read again."""

    model: UNetMatting
    ema: UNetMatting
    optimizer: torch.optim.Optimizer
    rng: torch.Generator  # every random draw of the run comes from it
    start: list[Tensor]  # the encoder's trained weights where the run began
    drawn: Tensor  # its state after the last batch trained on; it may be one batch ahead
    step: int = 0
    seconds: float = 0.0  # of training so far, without the time it was not running
    best: float = 0.0  # IoU of the best checkpoint written


def save_state(path: Path, state: State) -> None:
    """Write in one step: the file is the old state or the new one, never half of it."""
    part = path.with_suffix(".part")
    torch.save(
        {
            "model": state.model.state_dict(),
            "ema": state.ema.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "start": state.start,
            "rng": state.drawn,
            "step": state.step,
            "seconds": state.seconds,
            "best": state.best,
        },
        part,
    )
    part.replace(path)


def load_state(path: Path, state: State) -> None:
    """Fill a fresh state from a file."""
    device = next(state.model.parameters()).device
    saved = torch.load(path, map_location=device, weights_only=True)
    state.model.load_state_dict(saved["model"])
    state.ema.load_state_dict(saved["ema"])
    state.optimizer.load_state_dict(saved["optimizer"])
    state.start = saved["start"]
    state.drawn = saved["rng"].cpu()
    state.rng.set_state(state.drawn)
    state.step, state.seconds = saved["step"], saved["seconds"]
    state.best = saved["best"]


def follower(model: UNetMatting) -> UNetMatting:
    """A copy whose weights will be a moving average of the model's (Polyak averaging)."""
    return copy.deepcopy(model).eval().requires_grad_(False)


@torch.no_grad()
def follow(ema: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move the average; early on it forgets faster, or it would be full of the first guesses."""
    decay = min(decay, (1 + step) / (10 + step))
    pairs = list(zip(ema.state_dict().values(), model.state_dict().values(), strict=True))
    floats = [pair for pair in pairs if pair[0].is_floating_point()]
    # All at once: on a GPU hundreds of small steps take longer than what they do.
    torch._foreach_lerp_([mean for mean, _ in floats], [value for _, value in floats], 1 - decay)
    for count, value in pairs:
        if not count.is_floating_point():
            count.copy_(value)


@torch.no_grad()
def pull(weights: list[Tensor], start: list[Tensor], share: float) -> None:
    """Move weights back by a share of their way from where they began.

    The gradient of L2-SP's penalty (Li, Grandvalet, Davoine, Explicit Inductive Bias for Transfer
    Learning with Convolutional Networks, ICML 2018), apart from the optimizer's own step as AdamW
    does with weight decay: what was learned before from far more photos is not forgotten.
    """
    torch._foreach_lerp_(weights, start, min(share, 1.0))
