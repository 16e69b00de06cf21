"""A service under load on this machine: python -m benchmarks.serving --photo FILE

Starts `serve_config.yaml` on a free port and measures, through HTTP: the time to the first answer,
one client, many clients, large photos, and the return of a killed network replica.
"""

import argparse
import io
import json
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import httpx
import psutil
from PIL import Image, ImageOps

from benchmarks.load import closed_loop
from benchmarks.running_service import RunningService, running_service
from serve_app.settings import ROOT

SMALL, LARGE = (1024, 576), (4096, 2304)  # (width, height)
RESULTS = ROOT / "benchmarks" / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", type=Path, default=ROOT / "docs" / "images" / "astronaut.jpg")
    parser.add_argument("--seconds", type=float, default=20, help="length of each run under load")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 16])
    parser.add_argument("--json", type=Path, default=RESULTS / "serving.json")
    arguments = parser.parse_args()
    rows = measure(arguments)
    for name, value in rows.items():
        print(f"{name:44} {value}")
    report = {"machine": machine(), "rows": rows}
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    small, large = (scaled(arguments.photo, size) for size in (SMALL, LARGE))
    rows: dict[str, float] = {}
    with running_service() as service:
        service.wait_until_ready()
        ask(service, small)
        rows["start to first answer, s"] = round(time.monotonic() - service.started_at, 1)
        for clients in arguments.clients:
            load = closed_loop(service, small, clients, arguments.seconds)
            label = f"1024x576, {clients} client{'s' if clients > 1 else ''}"
            rows[f"{label}: images/min"] = round(load.per_minute)
            rows[f"{label}: p50, ms"] = round(1000 * load.percentile(50))
            rows[f"{label}: p95, ms"] = round(1000 * load.percentile(95))
            rows[f"{label}: mean batch size"] = round(load.mean_batch, 1)
            rows[f"{label}: failures"] = load.failures
        times = sorted(ask(service, large) for _ in range(5))
        rows["4096x2304, 1 client: p50, s"] = round(times[2], 2)
        load = closed_loop(service, large, 8, arguments.seconds)
        rows["4096x2304, 8 clients: images/min"] = round(load.per_minute)
        rows["4096x2304, 8 clients: failures"] = load.failures
        rows["4096x2304, 8 clients: replicas' memory, MB"] = round(load.peak_memory / 1e6)
        rows["killed network replica: ready again, s"] = round(recovery(service), 1)
    return rows


def scaled(photo: Path, size: tuple[int, int]) -> bytes:
    """The photo cut and scaled to a size, as a JPEG of quality 90."""
    body = io.BytesIO()
    with Image.open(photo) as image:
        ImageOps.fit(image.convert("RGB"), size).save(body, "JPEG", quality=90)
    return body.getvalue()


def ask(service: RunningService, photo: bytes) -> float:
    start = time.monotonic()
    answer = httpx.post(f"{service.url}/v1/matting", files={"image": photo}, timeout=120)
    answer.raise_for_status()
    return time.monotonic() - start


def recovery(service: RunningService) -> float:
    """Seconds from kill -9 of the network's replica to /readyz being 200 with another one."""
    time.sleep(6)  # /readyz trusts an answer of the last seconds; let that trust run out
    victim = service.replicas("UNet")[0]
    victim.kill()
    start = time.monotonic()
    while service.is_ready() and time.monotonic() - start < 1:
        time.sleep(0.02)
    service.wait_until_ready()
    return time.monotonic() - start


def machine() -> dict[str, str]:
    cpu = next(
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        if line.startswith("model name")
    )
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": f"{psutil.cpu_count()} x {cpu}",
        "memory_gb": str(round(psutil.virtual_memory().total / 2**30)),
        "python": platform.python_version(),
        **{name: version(name) for name in ("cvunet-serve", "ray", "torch", "numpy", "pillow")},
    }


if __name__ == "__main__":
    main()
