"""Whether the network's engine opens, found out before anything is started.

It is opened for good, in a process of its own, whose memory is free again and whose crash is a
message. Nothing is made twice: what an engine makes of the checkpoint is kept in
`model.cache_path`, where the replica finds it.
"""

import os
import subprocess
import sys
from collections.abc import Mapping

from serve_app.engines import open_engine
from serve_app.errors import EngineError, MattingError
from serve_app.settings import ModelSettings

_EXIT_REFUSED = 3  # what it printed is the message; any other status is a crash


def check_opening(settings: ModelSettings, environment: Mapping[str, str]) -> None:
    """Open the engine and drop it.

    Args:
        settings: of the network.
        environment: variables that its replica will have beside this process's.

    Raises:
        EngineError: it does not open; the message says why and what to do.
    """
    done = subprocess.run(
        [sys.executable, "-m", "serve_app.commands.opening"],
        input=settings.model_dump_json(),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == _EXIT_REFUSED:
        raise EngineError(done.stdout.strip())
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise EngineError(
            f"engine: {settings.engine} does not open '{settings.model_path}', its process ended "
            f"with status {done.returncode} ({last}): set another engine, or install it again"
        )


def main() -> int:
    """Open the engine that the settings on stdin ask for."""
    try:
        open_engine(ModelSettings.model_validate_json(sys.stdin.read()))
    except MattingError as exc:
        print(exc.detail)
        return _EXIT_REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
