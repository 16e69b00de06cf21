"""Our pipeline behind BentoML; runs in the peers' environment, started by `bentoml serve`."""

import os
import sys
import uuid
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))
from benchmarks.peers.environment import find_product

find_product()

import bentoml  # noqa: E402

from benchmarks.peers.pipeline import Matter  # noqa: E402


@bentoml.service(workers=int(os.environ.get("WORKERS", "1")), traffic={"timeout": 120})
class Matting:
    def __init__(self) -> None:
        self._matter = Matter()

    @bentoml.api(route="/v1/matting")
    def matte(self, image: Path, context: bentoml.Context) -> Path:
        answer = Path(context.temp_dir) / f"{uuid.uuid4().hex}.png"
        answer.write_bytes(self._matter.matte(image.read_bytes()))
        return answer
