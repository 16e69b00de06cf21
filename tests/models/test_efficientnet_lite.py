import torch

from serve_app.models.efficientnet_lite import EfficientNetLite, scaled_stages


def test_levels_halve_the_image() -> None:
    encoder = EfficientNetLite(width=0.25)
    with torch.inference_mode():
        levels = encoder(torch.zeros(2, 3, 64, 96))
    assert [tuple(level.shape[2:]) for level in levels] == [
        (32, 48), (16, 24), (8, 12), (4, 6), (2, 3)
    ]  # fmt: skip
    assert tuple(level.shape[1] for level in levels) == encoder.widths


def test_lite0_has_the_published_widths_and_size() -> None:
    encoder = EfficientNetLite()
    assert encoder.widths == (16, 24, 40, 112, 320)
    # 4,652,008 published parameters less the classifier's 1,281,000, less the head's 412,160, less
    # two of each norm's: folding leaves a bias for each channel where a scale and a shift were.
    norms = sum(p.numel() for name, p in encoder.named_parameters() if name.endswith("bias"))
    assert sum(p.numel() for p in encoder.parameters()) == 4_652_008 - 1_281_000 - 412_160 - norms


def test_larger_ones_are_wider_and_deeper_but_for_their_ends() -> None:
    lite0, lite2 = scaled_stages(1.0, 1.0), scaled_stages(1.1, 1.2)
    assert [stage.width for stage in lite2] == [16, 24, 48, 88, 120, 208, 352]
    assert [stage.repeats for stage in lite0] == [1, 2, 2, 3, 3, 4, 1]
    assert [stage.repeats for stage in lite2] == [1, 3, 3, 4, 4, 5, 1]
