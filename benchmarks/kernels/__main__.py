"""Our own kernels, layer by layer, on a GPU: python -m benchmarks.kernels check, or tiles

`check` runs each layer of the network on what PyTorch's operations give in FP32 for the layers
before it, and says how far it is from them; one that does not compile or run is named, and the rest
go on.

`tiles` times each layer with several tiles, from a CUDA graph, and prints for each its microseconds
and bytes a second; what is quickest belongs into `serve_app/engines/kernels/tiles.py`. A tile whose
answer is too far from PyTorch's is marked WRONG, and never the best. `--workers` processes compile
first, beside each other, into Triton's cache on disk.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import torch

from benchmarks.kernels.calls import calls_of, distinct
from benchmarks.kernels.checking import check_each
from benchmarks.kernels.compiling import compile_beside, compile_part
from benchmarks.kernels.device import DEVICE
from benchmarks.kernels.timing import time_each
from serve_app.models.checkpoint import load_checkpoint
from serve_app.models.folding import fold_batch_norms
from serve_app.settings import ModelSettings, resolve_path


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kernels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("check", "tiles", "compile"))
    parser.add_argument("--model", type=Path, default=ModelSettings().model_path)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--size", type=int, nargs=2, metavar=("W", "H"))
    parser.add_argument("--workers", type=int, default=8, help="processes that compile")
    parser.add_argument("--part", type=int, default=0, help="which of the workers `compile` is")
    parser.add_argument("--bandwidth", type=float, default=4180, help="of a large copy, GB/s")
    arguments = parser.parse_args()
    check = arguments.what == "check"
    if DEVICE.type == "cpu" and not (check and os.environ.get("TRITON_INTERPRET") == "1"):
        parser.error("needs an NVIDIA GPU; TRITON_INTERPRET=1 lets `check` run without one, slowly")
    batch = arguments.batch or (2 if check else 16)
    width, height = arguments.size or ((544, 192) if check else (1024, 576))
    network = load_checkpoint(resolve_path(arguments.model))[0]
    fold_batch_norms(network)
    network = network.to(DEVICE)
    torch.backends.cudnn.enabled = False  # it compiles for each shape
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.manual_seed(0)
    rgb = torch.randint(0, 256, (batch, height, width, 3), dtype=torch.uint8).to(DEVICE)
    trimap = torch.randint(0, 256, (batch, height, width), dtype=torch.uint8).to(DEVICE)
    with torch.inference_mode():
        calls = calls_of(network, rgb, trimap)
        if check:
            sys.exit(check_each(calls))
        if arguments.what == "compile":
            compile_part(calls, arguments.part, arguments.workers)
            return
        began = time.perf_counter()
        compile_beside(arguments)
        print(f"compiled in {time.perf_counter() - began:.0f} s", flush=True)
        time_each(distinct(calls), arguments.bandwidth)


if __name__ == "__main__":
    main()
