"""Between two checkpoints: `python -m training.mean A B --share 1 --encoder-share 0.5 --out FILE`

The weights of a network before and after more training, averaged, often do better than either on
photos unlike those of the later training (Wortsman et al., Robust Fine-Tuning of Zero-Shot Models,
CVPR 2022). That takes networks of one shape, the second trained on from the first. The encoder,
which has learned from a million photos before, has a share of its own.
"""

import argparse
import sys
from pathlib import Path

from serve_app.errors import SettingsError, SetupError
from serve_app.models.checkpoint import load_checkpoint, save_checkpoint
from serve_app.models.unet import UNetMatting

_ENCODER = "context.encoder."


def mean(
    first: UNetMatting, second: UNetMatting, share: float, encoder_share: float
) -> UNetMatting:
    """The first network with a share (0-1) of the second's weights, in place.

    Raises:
        SettingsError: the networks differ in shape.
    """
    if first.config != second.config:
        raise SettingsError(
            f"two networks of one shape have a mean, not {first.config} and {second.config}"
        )
    theirs = second.state_dict()
    for name, tensor in first.state_dict().items():
        if tensor.is_floating_point():
            tensor.lerp_(theirs[name], encoder_share if name.startswith(_ENCODER) else share)
    return first


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m training.mean",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of the second's weights")
    parser.add_argument("--encoder-share", type=float, help="of its encoder's, --share if not set")
    parser.add_argument("--version", default="0.1.0", help="written into the checkpoint")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    encoder_share = args.share if args.encoder_share is None else args.encoder_share
    if not (0 <= args.share <= 1 and 0 <= encoder_share <= 1):
        parser.error(f"shares are from 0 to 1, not {args.share} and {encoder_share}")
    try:
        networks = (load_checkpoint(path)[0] for path in (args.first, args.second))
        between = mean(*networks, args.share, encoder_share)
        save_checkpoint(args.out, between, version=args.version, metrics={})
    except SetupError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
