"""rembg as a library; runs in the peers' environment: rembg_library.py MODEL PHOTO SECONDS

Prints the seconds that each picture took as JSON; the first ones are not among them.
"""

import json
import sys
import time
from pathlib import Path

from rembg import new_session, remove

_UNCOUNTED = 2


def main() -> None:
    model, photo, seconds = sys.argv[1], Path(sys.argv[2]).read_bytes(), float(sys.argv[3])
    session = new_session("u2net_custom", model_path=model)
    for _ in range(_UNCOUNTED):
        remove(photo, session=session)
    taken: list[float] = []
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        began = time.perf_counter()
        remove(photo, session=session)
        taken.append(time.perf_counter() - began)
    print(json.dumps(taken))


if __name__ == "__main__":
    main()
