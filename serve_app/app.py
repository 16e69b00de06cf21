"""Builds the Serve application that `serve_config.yaml` names."""

from typing import Any

from ray import serve
from ray.serve import Application

from serve_app.deployments.ingress import Ingress
from serve_app.deployments.postprocess import Postprocess
from serve_app.deployments.preprocess import Preprocess
from serve_app.deployments.unet import UNet
from serve_app.engines import check_anywhere
from serve_app.options import load_presets
from serve_app.settings import parse_settings, resolve_path


def build_app(args: dict[str, Any]) -> Application:
    """Wire the four stages together.

    Args:
        args: the settings tree (`serve_app.settings.Settings`) as plain values.

    Raises:
        SettingsError: a key is unknown or a value breaks its rule; the message names it.
        CheckpointError: the checkpoint is here and is broken.
        EngineError: no machine can run the network that is asked for.
    """
    settings = parse_settings(args)
    check_anywhere(settings.model)  # Serve would try a replica that cannot start again and again
    presets = load_presets(resolve_path(settings.presets_path))
    stages = [
        serve.deployment(name="Preprocess")(Preprocess).bind(settings),
        serve.deployment(name="UNet")(UNet).bind(settings),
        serve.deployment(name="Postprocess")(Postprocess).bind(settings),
    ]
    ingress = serve.deployment(name="Ingress")(serve.ingress()(Ingress))
    return ingress.bind(settings, presets, *stages)
