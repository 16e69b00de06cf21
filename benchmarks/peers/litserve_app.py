"""Our pipeline behind LitServe; runs in the peers' environment: litserve_app.py PORT WORKERS."""

import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2]))
from benchmarks.peers.environment import find_product

find_product()

import litserve  # noqa: E402
from fastapi import Request, Response  # noqa: E402

from benchmarks.peers.pipeline import Matter  # noqa: E402


class Api(litserve.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:  # noqa: ARG002
        self._matter = Matter()

    def decode_request(self, request: Request) -> bytes:
        data: bytes = request["image"].file.read()  # type: ignore[index]
        return data

    def predict(self, data: bytes) -> bytes:
        return self._matter.matte(data)

    def encode_response(self, output: bytes) -> Any:
        return Response(output, media_type="image/png")


if __name__ == "__main__":
    port, workers = int(sys.argv[1]), int(sys.argv[2])
    api = Api(api_path="/v1/matting")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=workers, timeout=120)
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="error")
