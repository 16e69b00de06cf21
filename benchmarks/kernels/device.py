"""Where the layers run: on the GPU, or in Triton's interpreter where there is none."""

import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def synchronise() -> None:
    """Wait for what was launched; where it failed, this raises."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
