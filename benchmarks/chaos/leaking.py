"""The service with a leak planted in it: what the soak's check has to catch."""

import tempfile
from typing import Any

from ray.serve import Application

import serve_app.app
from serve_app.deployments.postprocess import Postprocess
from serve_app.options import Options
from serve_app.settings import Settings
from serve_app.timing import Deadline
from serve_app.types import Prediction, Prepared, Result

LEAK_BYTES = 20_000  # of each request: 20 MB per 1,000
_EVERY = 50  # requests that leave one descriptor


class LeakingPostprocess(Postprocess):
    """Keeps a little of everything."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._kept: list[object] = []

    async def __call__(
        self,
        prepared: Prepared,
        prediction: Prediction,
        options: Options,
        deadline: Deadline,
        trace: str = "",
    ) -> Result:
        result = await super().__call__(prepared, prediction, options, deadline, trace)
        self._kept.append(bytearray(b"\1" * LEAK_BYTES))
        if len(self._kept) % _EVERY == 0:
            self._kept.append(tempfile.TemporaryFile())  # noqa: SIM115
        return result


def build_app(args: dict[str, Any]) -> Application:
    """The application of `serve_app.app` with one stage changed."""
    serve_app.app.Postprocess = LeakingPostprocess  # type: ignore[misc]
    return serve_app.app.build_app(args)
