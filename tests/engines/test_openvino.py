"""OpenVINO's own ways: one graph for all sizes, images side by side, what is kept on disk."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import openvino
import pytest

from serve_app.engines import compiled
from serve_app.engines import openvino as module
from serve_app.engines.compiled import kept_path
from serve_app.engines.graph import Graph, quantised_path, stamped, write_graph
from serve_app.engines.openvino import OpenVinoEngine
from serve_app.errors import EngineOutOfMemory
from serve_app.settings import ROOT
from tests.conftest import picture


def unknown(rgb: np.ndarray) -> np.ndarray:
    return np.full(rgb.shape[:3], 128, np.uint8)


def compiled_for(graph: Graph, rgb: np.ndarray) -> np.ndarray:
    """What a graph compiled for the size of one image alone answers."""
    core = openvino.Core()
    model = core.read_model(graph.content)
    model.reshape({"rgb": list(rgb.shape), "trimap": list(rgb.shape[:3])})
    request = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.asarray(request({"rgb": rgb, "trimap": unknown(rgb)})["alpha"])


@pytest.fixture(scope="module")
def engine(graph: Graph) -> OpenVinoEngine:
    return OpenVinoEngine(graph, threads=2)


@pytest.mark.parametrize("size", [(64, 64), (96, 128), (64, 352)])
def test_it_answers_as_if_compiled_for_the_size(
    engine: OpenVinoEngine, graph: Graph, size: tuple[int, int]
) -> None:
    rgb = picture(*size)[None]
    given = engine.predict(rgb, unknown(rgb))
    assert np.abs(given.astype(int) - compiled_for(graph, rgb)).max() <= 1


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_each_image_of_a_batch_gets_its_own_answer(graph: Graph, threads: int) -> None:
    engine = OpenVinoEngine(graph, threads=threads)
    random = np.random.default_rng(threads)
    rgb = random.integers(0, 256, (7, 64, 96, 3), np.uint8)
    alone = [engine.predict(rgb[i : i + 1], unknown(rgb[i : i + 1]))[0] for i in range(7)]
    for count in (2, 3, 7):
        together = engine.predict(rgb[:count], unknown(rgb[:count]))
        assert np.abs(together.astype(int) - alone[:count]).max() <= 1


def affinities(graph: Graph) -> set[int]:
    """On how many cores this process's threads may run while an engine is at work."""
    engine = OpenVinoEngine(graph, threads=1)
    rgb = picture(256, 256)[None]
    over, seen = threading.Event(), set[int]()

    def work() -> None:
        while not over.is_set():
            engine.predict(rgb, unknown(rgb))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for _ in range(40):
            time.sleep(0.01)
            threads = [int(path.name) for path in Path("/proc/self/task").iterdir()]
            seen |= {len(os.sched_getaffinity(thread)) for thread in threads}
    finally:
        over.set()
        worker.join()
    return seen


def test_no_thread_is_held_to_a_core(graph: Graph) -> None:
    """Workers beside each other would all run on the first ones."""
    # A process of its own: this one has threads of other libraries, which may be held to one.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        seen = pool.submit(affinities, graph).result()
    assert seen == {len(os.sched_getaffinity(0))}


def test_a_new_size_is_not_compiled(
    engine: OpenVinoEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(openvino.Core, "compile_model", fail)
    for side in (32, 64, 96, 128):
        rgb = picture(side, 64)[None]
        assert engine.predict(rgb, unknown(rgb)).shape == (1, side, 64)


def test_a_large_image_gives_its_memory_back(
    engine: OpenVinoEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = picture(64, 64)[None], picture(2048, 2048)[None]
    engine.predict(large, unknown(large))
    given_back = resident()
    assert engine.predict(small, unknown(small)).shape == (1, 64, 64)
    monkeypatch.setattr(module, "_LARGE", 10**9)
    engine.predict(large, unknown(large))
    assert resident() - given_back > 50e6  # the image alone is 67 MB as floats


def resident() -> int:
    """Bytes of memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_a_failure_leaves_it_ready_for_the_next(
    engine: OpenVinoEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb = np.concatenate([picture(64, 64)[None]] * 5)
    expected = engine.predict(rgb, unknown(rgb))
    started = 0
    start = openvino.InferRequest.start_async

    def fail_at_the_third(request: object, inputs: object) -> None:
        nonlocal started
        started += 1
        if started == 3:
            raise RuntimeError("std::bad_alloc")
        start(request, inputs)

    monkeypatch.setattr(openvino.InferRequest, "start_async", fail_at_the_third)
    with pytest.raises(EngineOutOfMemory, match="5 images of 64x64"):
        engine.predict(rgb, unknown(rgb))
    assert np.array_equal(engine.predict(rgb, unknown(rgb)), expected)


def test_another_failure_is_passed_on(
    engine: OpenVinoEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(module, "_run", fail)
    rgb = picture(64, 64)[None]
    with pytest.raises(RuntimeError, match="something else"):
        engine.predict(rgb, unknown(rgb))


def test_the_second_start_compiles_nothing(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb = picture(96, 128)[None]
    expected = OpenVinoEngine(graph, cache_path=tmp_path).predict(rgb, unknown(rgb))
    (kept,) = tmp_path.iterdir()

    def fail(*_: object) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(openvino.Core, "compile_model", fail)
    again = OpenVinoEngine(graph, cache_path=tmp_path).predict(rgb, unknown(rgb))
    assert np.array_equal(again, expected)
    assert list(tmp_path.iterdir()) == [kept]


@pytest.mark.parametrize("damage", ["cut short", "altered", "empty"])
def test_a_damaged_file_is_made_again(
    graph: Graph, damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    OpenVinoEngine(graph, cache_path=tmp_path)
    (kept,) = tmp_path.iterdir()
    whole = kept.read_bytes()
    middle = len(whole) // 2
    kept.write_bytes(
        {
            "cut short": whole[:middle],
            "altered": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "empty": b"",
        }[damage]
    )
    OpenVinoEngine(graph, cache_path=tmp_path)
    assert "is not whole: it is made again" in caplog.text
    caplog.clear()
    OpenVinoEngine(graph, cache_path=tmp_path)
    assert not caplog.text


def test_what_it_depends_on_is_in_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def name(content: bytes = b"a", version: str = "1", threads: int = 2) -> str:
        return kept_path(tmp_path, content, version, {"threads": threads}).name

    monkeypatch.setattr(compiled, "cpu_flags", lambda: ["avx2"])
    names = {name(), name(content=b"b"), name(version="2"), name(threads=3)}
    monkeypatch.setattr(compiled, "cpu_flags", lambda: ["avx2", "avx512_vnni"])
    names.add(name())
    assert len(names) == 5
    assert name() == name()


def test_a_folder_that_cannot_be_written_is_said(
    graph: Graph, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    engine = OpenVinoEngine(graph, cache_path=tmp_path / "file" / "below")
    assert "model.cache_path" in caplog.text
    rgb = picture(64, 64)[None]
    assert engine.predict(rgb, unknown(rgb)).shape == (1, 64, 64)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_torch_is_not_imported(
    checkpoint: Path, graph: Graph, cache: Path, precision: str, tmp_path: Path
) -> None:
    weights = tmp_path / checkpoint.name  # so named its graph is in `cache`
    weights.write_bytes(checkpoint.read_bytes())
    int8 = stamped(graph.content, name="small", version="3", sha256=graph.sha256, precision="int8")
    write_graph(int8, quantised_path(weights))
    settings = f"model_path={str(weights)!r}, precision={precision!r}, cache_path={str(cache)!r}"
    code = (
        "import sys; from serve_app.engines import open_engine, availability;"
        "from serve_app.settings import ModelSettings;"
        "availability._GPU_DEVICES = [];"  # as on a machine without one
        f"engine = open_engine(ModelSettings({settings}));"
        "print(engine.info.engine, engine.info.precision, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == ["openvino", precision, "False"]
