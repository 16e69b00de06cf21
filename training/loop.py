"""The training run: draw, step, average, now and then validate, and finish on time."""

import json
import logging
import math
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from serve_app.errors import SettingsError
from serve_app.models.checkpoint import load_checkpoint, save_checkpoint
from serve_app.models.efficientnet_lite import EfficientNetLite
from serve_app.models.unet import UNetMatting
from training.ahead import Ahead
from training.batches import Batch, Batches
from training.data import Collection
from training.imagenet import SCALES, imagenet_weights
from training.losses import total, training_losses
from training.settings import Settings
from training.state import State, follow, follower, load_state, pull, save_state
from training.validate import Example, quick_scores, soft_differences, some

log = logging.getLogger(__name__)

STATE_FILE = "state.pt"
LOG_FILE = "log.jsonl"
BEST_FILE = "best.safetensors"
SOLVED_FOLDER = "solved"
_LOG_EVERY = 20  # steps
_SAVE_SECONDS = 120


def fresh_state(settings: Settings, device: torch.device, init: Path | None = None) -> State:
    """The beginning of a run: from a checkpoint's weights if one is given, else from an encoder
    that knows ImageNet.
    """
    torch.manual_seed(settings.seed)
    width, depth = SCALES[settings.encoder]
    model = UNetMatting(
        context_side=settings.context_side, encoder_width=width, encoder_depth=depth
    )
    if init is not None:
        load_init(model, init)
    else:
        model.context.encoder.load_state_dict(imagenet_weights(settings.encoder))
    model = model.to(device, memory_format=torch.channels_last)
    freeze(model.context.encoder, settings)
    optimizer = torch.optim.AdamW(
        parameter_groups(model, settings), weight_decay=0.0, fused=device.type == "cuda"
    )
    rng = torch.Generator().manual_seed(settings.seed)
    start = [weight.detach().clone() for weight in encoder_weights(model)]
    return State(model, follower(model), optimizer, rng, start, rng.get_state())


def encoder_weights(model: UNetMatting) -> list[torch.Tensor]:
    """What of the encoder is trained."""
    return [weight for weight in model.context.encoder.parameters() if weight.requires_grad]


def load_init(model: UNetMatting, init: Path) -> None:
    """Begin with the weights of a checkpoint.

    Raises:
        CheckpointError: it cannot be read.
        SettingsError: it is of another encoder.
    """
    weights = load_checkpoint(init)[0].state_dict()
    try:
        model.load_state_dict(weights)
    except RuntimeError as exc:
        raise SettingsError(
            f"checkpoint '{init}' is of another network than the settings' `encoder`: {exc}"
        ) from exc


def freeze(encoder: EfficientNetLite, settings: Settings) -> None:
    """Keep parts of the encoder as they were published.

    Nothing is computed backwards through the stem and the first blocks. Depthwise filters pass the
    gradient on, but their own, which is slow on a CPU, is not computed.
    """
    if settings.frozen_blocks:
        for part in (encoder.stem, *encoder.blocks[: settings.frozen_blocks]):
            part.requires_grad_(False)
    if settings.frozen_depthwise:
        for block in encoder.blocks:
            block.depthwise.requires_grad_(False)


def parameter_groups(model: UNetMatting, settings: Settings) -> list[dict[str, object]]:
    """What is trained: filters decay, norms and biases don't; the encoder moves more slowly."""
    encoder = {id(p) for p in model.context.encoder.parameters()}
    groups = []
    for inside, rate in ((True, settings.encoder_rate), (False, 1.0)):
        for filters, decay in ((True, settings.weight_decay), (False, 0.0)):
            params = [
                p
                for p in model.parameters()
                if p.requires_grad and (id(p) in encoder) == inside and (p.ndim > 1) == filters
            ]
            groups.append({"params": params, "rate": rate, "weight_decay": decay})
    return groups


def train(
    settings: Settings,
    collection: Collection,
    examples: list[Example],
    out: Path,
    device: torch.device,
    version: str,
    init: Path | None = None,
) -> State:
    """Run to the end of the schedule, from the state in `out` if there is one."""
    out.mkdir(parents=True, exist_ok=True)
    state = fresh_state(settings, device, init)
    if (out / STATE_FILE).exists():
        load_state(out / STATE_FILE, state)
        log.info("resumed at step %d after %.0f s", state.step, state.seconds)
    batches = Batches(collection, settings, state.rng)
    ahead = Ahead(partial(draw, batches), device, progress(settings, state.step, state.seconds))
    selection = some(examples, settings.validate_images)
    mattes = [example for example in examples if example.soft]
    saved = validated = state.seconds
    clock = time.monotonic() - state.seconds
    while (done := progress(settings, state.step, state.seconds)) < 1:
        batch, state.drawn = ahead.take(progress(settings, state.step + 1, state.seconds))
        rate = learning_rate(settings, done)
        terms = train_step(state, settings, batch, rate)
        state.step += 1
        state.seconds = time.monotonic() - clock
        if state.step % _LOG_EVERY == 0:
            values = {name: round(float(term), 5) for name, term in terms.items()}
            write_log(out, state, {"progress": round(done, 4), "rate": rate, **values})
        if state.seconds - validated > settings.validate_minutes * 60:
            validate(state, selection, mattes, out, version)
            validated = state.seconds = time.monotonic() - clock
        if state.seconds - saved > _SAVE_SECONDS:
            save_state(out / STATE_FILE, state)
            saved = state.seconds
    ahead.close()
    save_state(out / STATE_FILE, state)
    validate(state, selection, mattes, out, version)
    return state


def progress(settings: Settings, step: int, seconds: float) -> float:
    """How much of the run is over, 0-1: by the clock if it was given minutes, else by steps."""
    if settings.steps is not None:
        return step / settings.steps
    return seconds / (settings.minutes * 60)


def learning_rate(settings: Settings, done: float) -> float:
    """Warm up in a line, then down to nothing along a cosine."""
    if done < settings.warmup:
        return settings.learning_rate * (0.02 + 0.98 * done / settings.warmup)
    rest = (done - settings.warmup) / (1 - settings.warmup)
    return settings.learning_rate * (1 + math.cos(math.pi * rest)) / 2


def draw(batches: Batches, done: float) -> tuple[Batch, torch.Tensor]:
    """A batch for this part of the run, and the state that its draws left the generator in."""
    stages = batches.settings.stages
    canvases = next((stage for stage in stages if done < stage.until), stages[-1]).canvases
    weights = torch.tensor([canvas.weight for canvas in canvases])
    canvas = canvases[int(torch.multinomial(weights, 1, generator=batches.rng))]
    return batches.draw(canvas.size, canvas.batch), batches.rng.get_state()


def train_step(
    state: State, settings: Settings, batch: Batch, rate: float
) -> dict[str, torch.Tensor]:
    """One step of the optimizer; the losses it was taken on."""
    model, device = state.model.train(), batch.rgb.device
    for group in state.optimizer.param_groups:
        group["lr"] = rate * group["rate"]
    half = device.type == "cuda" or settings.bfloat16
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        fine, coarse = model.logits(batch.rgb, batch.trimap)
    terms = training_losses(fine, coarse, batch)
    state.optimizer.zero_grad(set_to_none=True)
    total(terms, settings.losses).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_norm)
    state.optimizer.step()
    if settings.encoder_pull and state.start:
        share = rate * settings.encoder_rate * settings.encoder_pull
        pull(encoder_weights(model), state.start, share)
    follow(state.ema, model, settings.ema, state.step)
    return {name: term.detach() for name, term in terms.items()}


def validate(
    state: State, examples: list[Example], mattes: list[Example], out: Path, version: str
) -> None:
    """Score the averaged weights, log it, and keep them if they are the best so far.

    What they make of hair shows on true mattes alone, which are few: all of those are looked at.
    """
    if not examples:
        return
    scores, soft = quick_scores(state.ema, examples), soft_differences(state.ema, mattes)
    write_log(out, state, {"images": len(examples), **scores, "soft_mad": soft})
    log.info("step %d: IoU %.4f, MAD %.4f", state.step, scores["iou"], scores["mad"])
    for source, difference in soft.items():
        log.info("step %d: MAD of %s %.4f", state.step, source, difference)
    if scores["iou"] > state.best:
        state.best = scores["iou"]
        save_checkpoint(out / BEST_FILE, state.ema, version=version, metrics=scores)


def write_log(out: Path, state: State, values: dict[str, object]) -> None:
    line = {"step": state.step, "seconds": round(state.seconds, 1), **values}
    with (out / LOG_FILE).open("a") as file:
        file.write(json.dumps(line) + "\n")


def read_log(out: Path) -> Iterator[dict[str, object]]:
    with (out / LOG_FILE).open() as file:
        yield from (json.loads(line) for line in file)
