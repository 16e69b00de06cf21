"""Checkpoints: what was saved comes back; what is broken, altered or foreign is refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from serve_app.errors import CheckpointError
from serve_app.models.checkpoint import load_checkpoint, save_checkpoint
from serve_app.models.unet import UNetMatting
from serve_app.settings import ROOT

SHIPPED = ROOT / "pretrained" / "cvunet_matting.safetensors"


@pytest.fixture(scope="module")
def model() -> UNetMatting:
    torch.manual_seed(0)
    return UNetMatting(encoder_width=0.25, decoder_width=8, detail_width=8).eval()


def same_weights(a: UNetMatting, b: UNetMatting) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_safetensors_round_trip(model: UNetMatting, tmp_path: Path) -> None:
    saved = save_checkpoint(tmp_path / "m.safetensors", model, version="1.2", metrics={"iou": 0.5})
    loaded, info = load_checkpoint(tmp_path / "m.safetensors")
    assert same_weights(loaded, model)
    assert not loaded.training
    assert info == saved
    assert (info.name, info.version, info.metrics) == ("m", "1.2", {"iou": 0.5})
    assert loaded.config == model.config
    assert [f.name for f in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_plain_state_dict_loads(tmp_path: Path) -> None:
    model = UNetMatting().eval()
    torch.save(model.state_dict(), tmp_path / "cvunet_matting.pth")
    loaded, info = load_checkpoint(tmp_path / "cvunet_matting.pth")
    assert same_weights(loaded, model)
    assert info.version == "unknown"
    assert len(info.sha256) == 64


def test_one_changed_weight_is_noticed(model: UNetMatting, tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    save_checkpoint(file, model, version="1", metrics={})
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="has been altered"):
        load_checkpoint(file)


def test_foreign_weights_name_the_first_keys_that_differ(tmp_path: Path) -> None:
    weights = UNetMatting().state_dict()
    weights["extra"] = torch.ones(1)
    weights["mean"] = torch.ones(5)
    del weights["std"]
    torch.save(weights, tmp_path / "foreign.pth")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "foreign.pth")
    for part in ("missing: std", "unexpected: extra", "mean (5,) instead of (1, 4, 1, 1)"):
        assert part in caught.value.detail


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"weight": Bomb()}, tmp_path / "bomb.pth")
    with pytest.raises(CheckpointError, match="not a plain state dict"):
        load_checkpoint(tmp_path / "bomb.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["m.safetensors", "m.pth"])
@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x08" + b"\0" * 40])
def test_garbage_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match="m\\."):
        load_checkpoint(tmp_path / name)


def test_missing_and_misnamed_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="CVUNET_MODEL_PATH"):
        load_checkpoint(tmp_path / "none.safetensors")
    (tmp_path / "m.bin").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"ends in '\.bin'"):
        load_checkpoint(tmp_path / "m.bin")


def test_another_architecture_or_configuration_is_refused(
    model: UNetMatting, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "m.safetensors", model, version="1", metrics={})
    tensors = load_file(tmp_path / "m.safetensors")
    for metadata, message in (
        ({"architecture": "ResNet"}, "holds a 'ResNet'"),
        ({"config": '{"depth": 9}'}, "configuration this version does not know"),
        ({"config": "[1]"}, "configuration this version does not know"),
    ):
        save_file(tensors, tmp_path / "other.safetensors", metadata)
        with pytest.raises(CheckpointError, match=message):
            load_checkpoint(tmp_path / "other.safetensors")


@pytest.mark.parametrize("place", [0.001, 0.37, 0.999])
def test_a_changed_byte_of_the_shipped_weights_is_refused(place: float, tmp_path: Path) -> None:
    content = bytearray(SHIPPED.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")  # safetensors: the header's length, then it
    content[start + int(place * (len(content) - start))] ^= 0x10
    file = tmp_path / "m.safetensors"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="has been altered"):
        load_checkpoint(file)


def test_the_model_card_tells_the_sum_of_the_shipped_weights() -> None:
    _, info = load_checkpoint(SHIPPED)
    assert info.sha256 in (SHIPPED.parent / "README.md").read_text("utf-8")
