"""Which servers are compared, and how each is asked."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from benchmarks.peers import servers
from benchmarks.peers.exported import SIDE
from benchmarks.running_service import running_service

LIKE_REMBG = {"max_side": str(SIDE), "refine": "none", "decontaminate": "false"}
OURS, OURS_SMALL = "cvunet-serve", f"cvunet-serve, {SIDE} px, as rembg"


@dataclass(frozen=True)
class Peer:
    """A server, and how it is asked."""

    names: tuple[str, ...]  # of the ways in which it is asked
    start: Callable[[], AbstractContextManager[servers.Server]]
    fields: tuple[dict[str, str], ...]
    paths: tuple[str, ...]
    file_field: str = "image"


def peers(models: dict[str, Path], workers: int) -> dict[str, Peer]:
    posted = [
        f"/api/remove?extras={quote(json.dumps({'model_path': str(file)}))}"
        for file in models.values()
    ]
    return {
        "ours": Peer(
            (OURS, OURS_SMALL), own_server, ({}, LIKE_REMBG), ("/v1/matting", "/v1/matting")
        ),
        "rembg": Peer(
            ("rembg s, our network", "rembg s, U2-Net's layers"),
            servers.rembg_server,
            ({"model": "u2net_custom"},) * 2,
            tuple(posted),
            "file",
        ),
        "litserve": Peer(
            ("LitServe, our pipeline",),
            lambda: servers.litserve_server(workers),
            ({},),
            ("/v1/matting",),
        ),
        "bentoml": Peer(
            ("BentoML, our pipeline",),
            lambda: servers.bentoml_server(workers),
            ({},),
            ("/v1/matting",),
        ),
    }


@contextmanager
def own_server() -> Iterator[servers.Server]:
    with running_service() as service:
        service.wait_until_ready()
        yield servers.Server(service.url, service.process)
