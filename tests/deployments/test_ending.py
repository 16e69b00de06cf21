"""SIGTERM to a real service with work in flight: that is finished, and nothing else is taken."""

import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil

from benchmarks.running_service import RunningService, read_config, running_service, started_in
from tests.conftest import encoded, picture

_AT_ONCE = 6


def test_sigterm_loses_no_request() -> None:
    config = read_config()
    config["applications"][0]["args"]["model"] = {"engine": "fake"}
    with running_service(config) as service:
        service.wait_until_ready()
        everything = service.tree()
        slow = encoded(picture(2304, 4096))
        assert matte(service, slow).status_code == 200
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            answers = [pool.submit(matte, service, slow) for _ in range(_AT_ONCE)]
            wait_for_work(service)
            service.process.send_signal(signal.SIGTERM)
            refused = until_refused(service)
            assert not all(answer.done() for answer in answers)
            assert {answer.result().status_code for answer in answers} == {200}
        assert (refused.status_code, refused.json()["code"]) == (503, "not_ready")
        assert "retry-after" in refused.headers
        assert service.process.wait(120) == 0
        assert not psutil.wait_procs(everything, timeout=15)[1]
        assert not started_in(str(service.log.parent))


def test_when_rays_daemon_dies_the_service_ends() -> None:
    """So that its supervisor starts it again; neither Ray nor Serve ends."""
    config = read_config()
    config["applications"][0]["args"]["model"] = {"engine": "fake"}
    with running_service(config) as service:
        service.wait_until_ready()
        everything = service.tree()
        (raylet,) = (process for process in everything if process.name() == "raylet")
        raylet.kill()
        assert service.process.wait(60) == 1
        assert not [process for process in everything if process.is_running()]
        assert "Ray's daemon on this machine has died" in service.log.read_text()


def test_an_end_that_nobody_asked_for_is_a_failure() -> None:
    """`serve run` ends with 0 whatever went wrong; a supervisor is to start the service again."""
    config = read_config()
    config["applications"][0]["args"]["model"] = {"engine": "fake"}
    with running_service(config) as service:
        service.wait_until_ready()
        (serve_run,) = (p for p in service.process.children() if "run" in p.cmdline())
        serve_run.send_signal(signal.SIGINT)
        assert service.process.wait(60) == 1


def test_a_ray_that_was_once_started_on_this_machine_is_not_joined() -> None:
    """Ray itself would, were it another one's or long dead."""
    config = read_config()
    config["applications"][0]["args"]["model"] = {"engine": "fake"}
    with tempfile.TemporaryDirectory(prefix="ray") as folder:
        (Path(folder) / "ray").mkdir()
        (Path(folder) / "ray" / "ray_current_cluster").write_text("127.0.0.1:9")
        with running_service(config, {"RAY_TMPDIR": folder}) as service:
            service.wait_until_ready()


def test_when_its_launcher_is_killed_the_service_ends() -> None:
    """Nobody could end it any more, and its ports would be taken for the next one."""
    config = read_config()
    config["applications"][0]["args"]["model"] = {"engine": "fake"}
    with running_service(config) as service:
        service.wait_until_ready()
        everything = service.tree()
        service.process.kill()
        assert not psutil.wait_procs(everything, timeout=60)[1]


def matte(service: RunningService, image: bytes) -> httpx.Response:
    return httpx.post(f"{service.url}/v1/matting", files={"image": image}, timeout=120)


def wait_for_work(service: RunningService) -> None:
    """Until the decoder is at it: all requests are in flight then."""
    (replica,) = service.replicas("Preprocess")
    idle = sum(child.cpu_times().user for child in replica.children(recursive=True))
    while sum(c.cpu_times().user for c in replica.children(recursive=True)) < idle + 0.2:
        time.sleep(0.05)


def until_refused(service: RunningService) -> httpx.Response:
    """The first answer that is no 200: the signal takes its time to be seen."""
    small = encoded(picture())
    while (answer := matte(service, small)).status_code == 200:
        time.sleep(0.05)
    return answer
