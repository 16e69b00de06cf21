"""A cluster that is not there is told at once, and with the remedy."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.bulk.address import check_reachable
from serve_app.errors import SettingsError
from tests.bulk.test_killed import started


@pytest.fixture
def nobodys_port() -> Iterator[int]:
    with socket.socket() as bound:  # it has the port, and does not listen
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "localhost:{}", "ray://127.0.0.1:{}"])
def test_nobody_listens(nobodys_port: int, form: str) -> None:
    with pytest.raises(SettingsError, match="unset RAY_ADDRESS") as refused:
        check_reachable(form.format(nobodys_port), lambda: "127.0.0.1")
    assert form.format(nobodys_port) in refused.value.detail


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "127.0.0.2:{}", "ray://127.0.0.1:{}"])
def test_somebody_listens_there_or_where_ray_looks(form: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        check_reachable(form.format(server.getsockname()[1]), lambda: "127.0.0.1")


@pytest.mark.parametrize("word", ["auto", "local"])
def test_other_words_are_rays_own(word: str) -> None:
    check_reachable(word, lambda: "127.0.0.1")


def test_a_host_that_says_nothing() -> None:
    began = time.monotonic()
    with socket.socket() as full:  # its backlog is taken: whoever comes next waits
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with socket.create_connection(address), pytest.raises(SettingsError, match="timed out"):
            check_reachable(f"127.0.0.1:{address[1]}", lambda: "127.0.0.1", timeout_s=0.3)
    assert time.monotonic() - began < 10


def test_the_command_ends(tmp_path: Path, photos: Path, nobodys_port: int) -> None:
    address = f"127.0.0.1:{nobodys_port}"
    with started(photos, tmp_path / "out", RAY_ADDRESS=address) as process:
        _, told = process.communicate(timeout=120)
    assert process.returncode == 2, told
    assert f"no Ray cluster answers at RAY_ADDRESS={address}" in told
