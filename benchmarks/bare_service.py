"""The HTTP application in one process, without Ray: what uvicorn and starlette alone cost."""

import multiprocessing
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

import psutil

from serve_app.settings import Settings


@dataclass(frozen=True)
class BareService:
    """A running one."""

    port: int
    process: psutil.Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def bare_service(settings: Settings) -> Iterator[BareService]:
    """Start one with the engine of the settings, and end it."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, settings))
    process.start()
    theirs.close()
    try:
        yield BareService(ours.recv(), psutil.Process(process.pid))
    finally:
        process.terminate()
        process.join()


def _serve(pipe: Connection, settings: Settings) -> None:
    import uvicorn

    from serve_app.api.app import build_api
    from serve_app.api.service import LocalMatting
    from serve_app.batching import warm_up
    from serve_app.engines import open_engine
    from serve_app.options import load_presets
    from serve_app.settings import resolve_path

    engine = open_engine(settings.model)
    warm_up(engine, settings.batching.warmup, settings.batching.bucket_step)
    presets = load_presets(resolve_path(settings.presets_path))
    app = build_api(LocalMatting(engine, settings), settings, presets)
    listening = socket.create_server(("127.0.0.1", 0))
    pipe.send(listening.getsockname()[1])
    config = uvicorn.Config(app, log_level="error", ws="none", lifespan="off")
    uvicorn.Server(config).run(sockets=[listening])
