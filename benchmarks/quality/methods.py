"""What is compared: our network in several ways, other authors' small ones, two classical ones.

A method takes an image uint8 `[H, W, 3]` sRGB and gives an alpha uint8 `[H, W]`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from serve_app.engines.external import ExternalEngine
from serve_app.settings import OnnxNetwork, load_settings
from serve_app.types import Array, Size

Matte = Callable[[Array], Array]

PRISMA = "prisma_nchw.onnx"
SELFIE = "selfie_mlkit_256.tflite"
DEEPLAB = "deeplabv3_mnv2_pascal_quant.tflite"

_GRABCUT_SIDE = 320  # px, longest side that GrabCut works on
_GRABCUT_MARGIN = 0.05  # of each side, left out of the centre rectangle
_GRABCUT_ROUNDS = 5
_CLOSED_FORM_SIDE = 256  # px; its sparse system grows with every pixel


@dataclass(frozen=True)
class Method:
    """A way to a matte, and what is known of it."""

    name: str
    note: str
    matte: Matte
    gmac: float | None = None


def peers(folder: Path, configs: Path) -> list[Method]:
    """Every network of `folder` that is known here; the `.tflite` ones need `ai-edge-litert`."""
    found = []
    if (folder / PRISMA).exists():
        network = load_settings(configs / "prisma.yaml", environ={}).model.onnx
        found.append(prisma(folder / PRISMA, network))
    if (folder / SELFIE).exists():
        found.append(selfie(folder / SELFIE))
    if (folder / DEEPLAB).exists():
        found.append(deeplab(folder / DEEPLAB))
    return found


def prisma(path: Path, network: OnnxNetwork) -> Method:
    """Through the engine that serves other authors' networks."""
    engine = ExternalEngine(path, network, "cpu", threads=1)

    def matte(image: Array) -> Array:
        return engine.predict(image[None], np.full((1, *image.shape[:2]), 128, np.uint8))[0]

    return Method("prisma", "portraits, 256x256, ONNX, MIT", matte, onnx_gmac(path, network.size))


def selfie(path: Path) -> Method:
    """ML Kit's selfie segmenter: RGB 0-1 in, channel 0 out."""
    run = _tflite(path)

    def matte(image: Array) -> Array:
        values = _resized(image, (256, 256)).astype(np.float32) / 255
        alpha = run(values[None])[0, ..., 0]
        return _resized(np.rint(alpha.clip(0, 1) * 255).astype(np.uint8), image.shape[:2])

    return Method("selfie", "people, 256x256, TFLite, Apache-2.0", matte)


def deeplab(path: Path) -> Method:
    """DeepLabv3 on MobileNetV2, quantised: a class for each pixel, 0 is the background."""
    run = _tflite(path)

    def matte(image: Array) -> Array:
        classes = np.squeeze(run(_resized(image, (513, 513))[None]))
        subject = (classes > 0).astype(np.uint8) * np.uint8(255)
        return _resized(subject, image.shape[:2])

    return Method("deeplab", "20 classes, 513x513, TFLite, Apache-2.0", matte)


def grabcut() -> Method:
    """Rother et al., "GrabCut", SIGGRAPH 2004, started from a centre rectangle."""
    return Method("GrabCut", f"centre rectangle, at {_GRABCUT_SIDE} px", cut_out_centre)


def cut_out_centre(image: Array) -> Array:
    small = _at_most(image, _GRABCUT_SIDE)
    height, width = small.shape[:2]
    down, across = round(height * _GRABCUT_MARGIN), round(width * _GRABCUT_MARGIN)
    rectangle = across, down, width - 2 * across, height - 2 * down
    mask = np.zeros((height, width), np.uint8)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    try:
        cv2.grabCut(small, mask, rectangle, *models, _GRABCUT_ROUNDS, cv2.GC_INIT_WITH_RECT)
    except cv2.error:  # nothing but one colour within or around the rectangle
        mask[:] = cv2.GC_BGD
    subject = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8) * np.uint8(255)
    return _resized(subject, image.shape[:2])


def closed_form(image: Array, trimap: Array) -> Array:
    """Levin et al., "A Closed-Form Solution to Natural Image Matting", TPAMI 2008, by PyMatting.

    `trimap` uint8 `[H, W]`: 0, 255 and what is unknown. Worked out at 256 px at most.
    """
    from pymatting import estimate_alpha_cf

    small = _at_most(image, _CLOSED_FORM_SIDE)
    marks = cv2.resize(trimap, small.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    known = np.select([marks == 0, marks == 255], [0.0, 1.0], 0.5)
    if not (known == 0).any() or not (known == 1).any():
        return trimap  # nothing to tell apart: it needs both kinds
    alpha = np.rint(estimate_alpha_cf(small / 255, known).clip(0, 1) * 255).astype(np.uint8)
    return _resized(alpha, image.shape[:2])


def onnx_gmac(path: Path, size: Size) -> float:
    """Multiplications of all convolutions and matrix products of one picture, 10^9."""
    import onnx

    model = onnx.load(str(path))
    dimensions = model.graph.input[0].type.tensor_type.shape.dim
    for dimension, value in zip(dimensions, (1, 3, *size), strict=True):
        dimension.dim_value = value
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output, *graph.input)
    }
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    total = 0
    for node in graph.node:
        if node.op_type == "Conv":
            total += int(np.prod(shapes[node.output[0]]) * np.prod(weights[node.input[1]][1:]))
        elif node.op_type == "ConvTranspose":
            total += int(np.prod(shapes[node.input[0]]) * np.prod(weights[node.input[1]][1:]))
        elif node.op_type in ("MatMul", "Gemm") and node.input[1] in weights:
            total += int(np.prod(shapes[node.output[0]]) * weights[node.input[1]][0])
    return total / 1e9


def _tflite(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def run(values: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(source["index"], values)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(target["index"]))

    return run


def _at_most(image: Array, side: int) -> Array:
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = tuple(max(1, round(n * scale)) for n in image.shape[:2])
    return _resized(image, (size[0], size[1]))


def _resized(image: Array, size: Size) -> Array:
    smaller = size[0] * size[1] < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size[::-1], interpolation=method), np.uint8)
