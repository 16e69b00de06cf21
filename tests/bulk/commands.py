"""Runs `cvunet` commands one after the other in a process that has a Ray of its own.

Ray reads its environment when it is imported, joins slowly, and warns: none of it is for the
process of the tests. The first line out is the cluster's address; then each line in is a command
and a folder to run it in, each line out its exit status and what it said.
"""

import io
import json
import logging
import os
import sys
from contextlib import redirect_stderr

import ray

from serve_app.cli import main


def serve() -> None:
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=300_000_000,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    _send(ray.get_runtime_context().gcs_address)
    for line in sys.stdin:
        command = json.loads(line)
        os.chdir(command["folder"])
        with redirect_stderr(io.StringIO()) as told:
            status = main(command["arguments"])
        _send(json.dumps({"status": status, "told": told.getvalue()}))
    ray.shutdown()


def _send(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
