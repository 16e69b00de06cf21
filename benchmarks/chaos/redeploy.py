"""New configurations rolled out while requests keep coming."""

import tempfile
import time
from pathlib import Path

import httpx
import torch

from benchmarks.chaos.config import Config, with_args
from benchmarks.chaos.outcome import Outcome, at_most
from benchmarks.chaos.plan import Plan
from benchmarks.chaos.progress import say
from benchmarks.chaos.replicas import wait_for_answers, waited
from benchmarks.chaos.serve_state import ServeState, serve_state
from benchmarks.chaos.traffic import causes, failed, photo, steady_traffic
from benchmarks.running_service import RunningService
from serve_app.models.checkpoint import load_checkpoint, save_checkpoint
from serve_app.settings import ROOT

_CLIENTS = 4
_AFTER_S = 2.0


def redeploy(service: RunningService, plan: Plan) -> Outcome:  # noqa: ARG001
    """Roll out other options and another checkpoint, and back: no request fails."""
    state = serve_state(service)
    config = state.config()
    limit = int(str(_get(service, "/v1/limits")["max_batch_files"])) + 1
    options = with_args(config, "limits", max_batch_files=limit)
    with (
        tempfile.TemporaryDirectory() as folder,
        steady_traffic(service.url, photo(), _CLIENTS) as answers,
    ):
        checkpoint = _another_checkpoint(Path(folder))
        wait_for_answers(answers, _CLIENTS)
        options_s = roll_out(state, options)
        new_limit = _get(service, "/v1/limits")["max_batch_files"]
        checkpoint_s = roll_out(state, with_args(options, "model", model_path=str(checkpoint)))
        other_weights = _weights(service) != load_checkpoint(checkpoint)[1].sha256
        back_s = roll_out(state, config)
        time.sleep(_AFTER_S)
    return Outcome(
        [
            at_most("failed requests", len(failed(answers)), 0),
            at_most("new options not in effect", int(new_limit != limit), 0),
            at_most(
                "new checkpoint not in effect",
                int(other_weights),
                0,
            ),
        ],
        {
            "requests": len(answers),
            "options rolled out after, s": options_s,
            "checkpoint rolled out after, s": checkpoint_s,
            "rolled back after, s": back_s,
            "longest answer, s": max(answer.seconds for answer in answers),
            "failures": causes(answers) or "none",
        },
    )


def roll_out(state: ServeState, config: Config) -> float:
    """Deploy and wait until nothing of the old version runs; the seconds it took.

    Serve's own "RUNNING" is not what is waited for: on a small machine the autoscaler may want one
    replica more than there is room for.
    """
    deployed, old = _deployed_at(state), state.replica_ids()
    start = time.monotonic()
    state.deploy(config)
    waited(lambda: _deployed_at(state) > deployed, "the new version is not deployed", 300)
    waited(lambda: _is_replaced(state, old), "replicas of the old version are left", 300)
    say(f"rolled out after {time.monotonic() - start:.1f} s")
    return time.monotonic() - start


def _deployed_at(state: ServeState) -> float:
    """When the present configuration was deployed, by the controller's own clock."""
    return float(state.application().get("last_deployed_time_s", 0.0))


def _is_replaced(state: ServeState, old: dict[str, set[str]]) -> bool:
    """Whether each stage has replicas that take requests, none of them an old one."""
    new = state.replica_ids()
    return all(new.get(stage) and not new[stage] & replicas for stage, replicas in old.items())


def _another_checkpoint(folder: Path) -> Path:
    """Ours with one weight changed: nothing made from ours serves it."""
    model, info = load_checkpoint(ROOT / "pretrained" / "cvunet_matting.safetensors")
    with torch.no_grad():
        model.detail.head.bias[0] += 0.01
    path = folder / "another.safetensors"
    save_checkpoint(path, model, version=info.version, metrics={})
    return path


def _weights(service: RunningService) -> str:
    (model,) = _get(service, "/v1/models")["models"]  # type: ignore[misc]
    return str(model["sha256"])


def _get(service: RunningService, path: str) -> dict[str, object]:
    return dict(httpx.get(service.url + path, timeout=60, trust_env=False).json())
