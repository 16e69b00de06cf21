import pytest
import torch
from torch.nn import functional as F

from serve_app.errors import SetupError
from serve_app.models.efficientnet_lite import EfficientNetLite
from training import imagenet
from training.imagenet import SCALES, folded, imagenet_weights, published_file


@pytest.mark.parametrize("encoder", ["lite0", "lite2"])
def test_the_published_weights_fit_the_encoder(encoder: str) -> None:
    network = EfficientNetLite(*SCALES[encoder])
    network.load_state_dict(imagenet_weights(encoder))  # strict: each name and each shape


def test_a_folded_norm_gives_what_both_gave() -> None:
    published = torch.load(published_file("lite0"), weights_only=True)
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    convolved = F.conv2d(image, published["_conv_stem.weight"])
    names = ("running_mean", "running_var", "weight", "bias")
    wanted = F.batch_norm(convolved, *(published[f"_bn0.{name}"] for name in names), eps=1e-3)
    one = folded(published, "_conv_stem", "_bn0", "stem")
    torch.testing.assert_close(
        F.conv2d(image, one["stem.weight"], one["stem.bias"]), wanted, rtol=1e-4, atol=1e-4
    )


def test_without_the_package_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagenet, "_PACKAGE", "no_such_package_{}")
    with pytest.raises(SetupError, match=r"lite0.*pip install no_such_package_lite0"):
        published_file("lite0")
