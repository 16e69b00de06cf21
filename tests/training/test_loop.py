import json
from pathlib import Path

import pytest
import torch

from serve_app.errors import SettingsError
from serve_app.models.checkpoint import load_checkpoint, save_checkpoint
from training import loop
from training.__main__ import main
from training.batches import Batches
from training.data import Collection
from training.loop import (
    BEST_FILE,
    LOG_FILE,
    STATE_FILE,
    encoder_weights,
    fresh_state,
    learning_rate,
    train,
    train_step,
)
from training.settings import Settings
from training.state import State, follow, pull, save_state
from training.validate import load_examples, predict, quick_scores

CPU = torch.device("cpu")


def weights(state: State) -> list[torch.Tensor]:
    return [*state.model.state_dict().values(), *state.ema.state_dict().values()]


def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    collection: Collection, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(name: str) -> State:
        return train(settings, collection, [], tmp_path / name, CPU, "0")

    def dies(state: State, *rest: object) -> dict[str, torch.Tensor]:
        if state.step == 3:
            raise KeyboardInterrupt
        return train_step(state, *rest)

    monkeypatch.setattr(loop, "_SAVE_SECONDS", 0)
    whole = run("whole")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_step", dies)
        with pytest.raises(KeyboardInterrupt):
            run("killed")
    resumed = run("killed")
    assert resumed.step == whole.step == settings.steps
    assert torch.equal(resumed.drawn, whole.drawn)
    for ours, theirs in zip(weights(resumed), weights(whole), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_state_half_written_harms_nothing(
    collection: Collection, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = fresh_state(settings, CPU)
    save_state(tmp_path / STATE_FILE, state)
    whole = (tmp_path / STATE_FILE).read_bytes()

    def killed(_: object, path: Path) -> None:
        path.write_bytes(b"half of")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        save_state(tmp_path / STATE_FILE, state)
    assert (tmp_path / STATE_FILE).read_bytes() == whole


def test_one_batch_can_be_learned(collection: Collection, settings: Settings) -> None:
    state = fresh_state(settings, CPU)
    batch = Batches(collection, settings, state.rng).draw((64, 64), 4)
    losses = [float(train_step(state, settings, batch, 2e-3)["l1"]) for _ in range(20)]
    assert sum(losses[-3:]) < 0.6 * sum(losses[:3])


def test_a_run_leaves_log_state_and_checkpoint(
    data: Path, collection: Collection, settings: Settings, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    examples = load_examples(data / "val", settings.sources)
    state = train(settings, collection, examples, out, CPU, "9.9.9")
    assert state.step == settings.steps
    last = json.loads((out / LOG_FILE).read_text().splitlines()[-1])
    assert last["images"] == 4
    assert last["soft_mad"] == {"discs": pytest.approx(last["mad"])}  # all of them are mattes
    model, info = load_checkpoint(out / BEST_FILE)
    assert info.version == "9.9.9"
    # Another layout in memory may round a pixel the other way.
    assert quick_scores(model, examples)["mad"] == pytest.approx(last["mad"], rel=1e-4)
    # Done is done: a second start has nothing left to do.
    assert train(settings, collection, examples, out, CPU, "9.9.9").step == settings.steps


def test_a_run_can_begin_with_a_checkpoint(settings: Settings, tmp_path: Path) -> None:
    before = fresh_state(settings, CPU).model
    save_checkpoint(tmp_path / "x.safetensors", before, version="1", metrics={})
    other = settings.model_copy(update={"seed": 5, "context_side": 384})
    state = fresh_state(other, CPU, tmp_path / "x.safetensors")
    assert state.ema.config.context_side == 384
    for name, tensor in before.state_dict().items():
        assert torch.equal(tensor, state.model.state_dict()[name])
        assert torch.equal(tensor, state.ema.state_dict()[name])


def test_the_rate_rises_then_falls_to_nothing(settings: Settings) -> None:
    rates = [learning_rate(settings, done / 100) for done in range(101)]
    assert max(rates) == pytest.approx(settings.learning_rate)
    assert rates[0] < 0.05 * settings.learning_rate
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert rates[3:] == sorted(rates[3:], reverse=True)


def test_the_encoder_is_pulled_back_to_where_it_began(
    collection: Collection, settings: Settings, tmp_path: Path
) -> None:
    def moved(pull: float) -> float:
        told = settings.model_copy(update={"encoder_pull": pull, "warmup": 0.0})
        state = train(told, collection, [], tmp_path / f"{pull}", CPU, "0")
        now = encoder_weights(state.model)
        return sum(
            float((a - b).detach().abs().sum()) for a, b in zip(now, state.start, strict=True)
        )

    free = moved(0)
    assert 0 < moved(500) < 0.95 * free


def test_a_pull_is_the_gradient_of_l2_sp() -> None:
    """A step of gradient descent on the penalty of L2-SP, half its strength by |w - w0| squared."""
    weight, start = torch.tensor([3.0, -1.0], requires_grad=True), torch.tensor([1.0, 1.0])
    rate, strength = 0.1, 2.0
    (strength / 2 * (weight - start).square().sum()).backward()
    expected = weight.detach() - rate * weight.grad
    pull([weight], [start], rate * strength)
    torch.testing.assert_close(weight.detach(), expected)
    pull([weight], [start], 7.0)  # never beyond it
    torch.testing.assert_close(weight.detach(), start)


def test_the_average_follows() -> None:
    model, ema = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    with torch.no_grad():
        model.weight.fill_(3.0)
    follow(ema, model, decay=0.75, step=10**6)
    assert ema.weight.tolist() == [1.5, 1.5]


def test_prediction_has_the_size_of_the_image(data: Path, settings: Settings) -> None:
    model = fresh_state(settings, CPU).ema
    example = load_examples(data / "val", settings.sources)[0]
    assert predict(model, example.image).shape == example.alpha.shape


def test_the_command_trains_and_reports(data: Path, tmp_path: Path) -> None:
    config = tmp_path / "train.yaml"
    config.write_text(
        "{steps: 21, threads: 1, sources: {discs: {weight: 1, cutout: 1, soft: true}}, "
        "stages: [{until: 1, canvases: [{size: [64, 64], batch: 2}]}]}"
    )
    out = tmp_path / "run"
    arguments = ["--config", str(config), "--data", str(data), "--out", str(out)]
    assert main([*arguments, "--device", "cpu"]) == 0
    for name in ("curves.png", "contact_sheet.png", "scores.json", "cvunet_matting.safetensors"):
        assert (out / name).stat().st_size > 0
    _, info = load_checkpoint(out / "cvunet_matting.safetensors")
    assert set(info.metrics) == {"iou", "sad", "mse", "mad", "grad", "conn"}


def test_a_mistake_in_the_settings_is_told(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train.yaml").write_text("stepz: 1")
    arguments = ["--config", str(tmp_path / "train.yaml"), "--data", str(data), "--out", "x"]
    assert main(arguments) == 2
    assert "stepz" in capsys.readouterr().err


def test_frozen_depthwise_filters_stay_as_they_were(
    collection: Collection, settings: Settings
) -> None:
    settings = settings.model_copy(update={"frozen_depthwise": True})
    state = fresh_state(settings, CPU)
    before = {name: value.clone() for name, value in state.model.named_parameters()}
    batch = Batches(collection, settings, state.rng).draw((64, 64), 4)
    train_step(state, settings, batch, 1e-3)
    after = dict(state.model.named_parameters())
    stayed = {name for name in before if torch.equal(before[name], after[name])}
    assert stayed == {name for name in before if ".depthwise." in name}


def test_a_checkpoint_of_another_encoder_is_refused(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    save_checkpoint(file, fresh_state(settings, CPU).model, version="1", metrics={})
    with pytest.raises(SettingsError, match=r"x\.safetensors.*another network.*encoder"):
        fresh_state(settings.model_copy(update={"encoder": "lite2"}), CPU, file)
