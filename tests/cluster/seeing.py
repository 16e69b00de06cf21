"""The service, each of whose replicas writes down which GPUs it sees."""

from typing import Any

from ray.serve import Application

import serve_app.app
from serve_app.deployments.ingress import Ingress
from serve_app.deployments.postprocess import Postprocess
from serve_app.deployments.preprocess import Preprocess
from serve_app.deployments.unet import UNet
from tests.cluster.sightings import note


class _Seeing:
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        note()


class SeeingIngress(_Seeing, Ingress):
    pass


class SeeingPreprocess(_Seeing, Preprocess):
    pass


class SeeingUNet(_Seeing, UNet):
    pass


class SeeingPostprocess(_Seeing, Postprocess):
    pass


def build_app(args: dict[str, Any]) -> Application:
    """The application of `serve_app.app` with all stages watched."""
    serve_app.app.Ingress = SeeingIngress  # type: ignore[misc]
    serve_app.app.Preprocess = SeeingPreprocess  # type: ignore[misc]
    serve_app.app.UNet = SeeingUNet  # type: ignore[misc]
    serve_app.app.Postprocess = SeeingPostprocess  # type: ignore[misc]
    return serve_app.app.build_app(args)
