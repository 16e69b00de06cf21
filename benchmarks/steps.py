"""One image in one process, each of its steps timed by itself."""

import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any

from benchmarks.in_process import OneAtATime, options_for
from benchmarks.load import form, form_type
from serve_app import mattes, pipeline, postprocess, preprocess
from serve_app.api.admission import Admission, HeldUpload
from serve_app.api.reading import read_matting_request
from serve_app.engines import open_engine
from serve_app.imaging.decode import decode
from serve_app.pipeline import Pipeline
from serve_app.settings import Limits, ModelSettings, Settings
from serve_app.types import Upload

STEPS = ("receive", "decode", "resize", "infer", "refine", "foreground", "encode", "other")
"""In the order in which an image goes through them."""

# The steps of one image and the functions that are them.
_STEPS: tuple[tuple[str, ModuleType, str], ...] = (
    ("resize", preprocess, "to_network"),
    ("refine", mattes, "upsample_alpha"),
    ("foreground", postprocess, "estimate_foreground"),
    ("encode", postprocess, "encode_cutout"),
)

Spent = dict[str, tuple[float, float]]  # ms by step: wall, CPU


def steps_of(photo: bytes, images: int) -> Spent:
    """Median wall and CPU milliseconds of each step of an image, in this process."""
    settings = Settings()
    spent: dict[str, list[tuple[float, float]]] = defaultdict(list)
    engine = OneAtATime(open_engine(ModelSettings()))
    options = options_for({}, settings)
    with wrapped(spent):
        engine.predict = stopwatch(spent, "infer", engine.predict)  # type: ignore[method-assign]
        whole_way = Pipeline(engine, settings.limits, settings.batching.bucket_step)
        whole = stopwatch(spent, "whole", whole_way.run)
        receive = stopwatch(spent, "receive", receive_form)
        body = form(photo, {}, "image")
        for image in range(images + 1):
            if image == 1:  # the first one allocates and compiles
                spent.clear()
            receive(body)
            whole(Upload(photo), options)
    medians = {
        name: (statistics.median(w for w, _ in rows), statistics.median(c for _, c in rows))
        for name, rows in spent.items()
    }
    inner = [values for name, values in medians.items() if name not in ("whole", "receive")]
    other = tuple(max(0.0, medians["whole"][i] - sum(v[i] for v in inner)) for i in (0, 1))
    del medians["whole"]
    return {**medians, "other": (other[0], other[1])}


@contextmanager
def wrapped(spent: dict[str, list[tuple[float, float]]]) -> Iterator[None]:
    """Time the functions that are the steps, wherever the pipeline calls them."""
    originals = [(module, name, getattr(module, name)) for _, module, name in _STEPS]
    originals.append((pipeline, "prepare", pipeline.prepare))
    timed_decode = stopwatch(spent, "decode", decode)
    pipeline.prepare = partial(preprocess.prepare, decode=timed_decode)  # type: ignore[assignment]
    for step, module, name in _STEPS:
        setattr(module, name, stopwatch(spent, step, getattr(module, name)))
    try:
        yield
    finally:
        for module, name, original in originals:
            setattr(module, name, original)


def stopwatch(
    spent: dict[str, list[tuple[float, float]]], step: str, function: Callable[..., Any]
) -> Callable[..., Any]:
    """A function that notes how long it took each time, wall and CPU of the process, in ms."""

    def timed(*arguments: Any) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        answer = function(*arguments)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        spent[step].append((1000 * wall, 1000 * cpu))
        return answer

    return timed


def receive_form(body: bytes) -> None:
    """Read a request's body in pieces as uvicorn gives them, and find the photo in it."""
    from starlette.requests import Request

    pieces = [body[i : i + 65536] for i in range(0, len(body), 65536)]
    sent = iter(range(len(pieces)))

    async def receive() -> dict[str, Any]:
        i = next(sent)
        return {"type": "http.request", "body": pieces[i], "more_body": i + 1 < len(pieces)}

    headers = [(b"content-type", form_type().encode())]
    scope = {"type": "http", "method": "POST", "headers": headers, "query_string": b""}
    request = Request(scope, receive)
    request.state.upload = HeldUpload(Admission(Limits()))
    asyncio.run(read_matting_request(request, Limits()))
