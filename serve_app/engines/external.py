"""Another author's matting network in our place: an ONNX file and how it wants its pictures."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from serve_app.engines.base import EngineInfo
from serve_app.engines.onnx import open_session, run
from serve_app.errors import CheckpointError, EngineError, MattingError
from serve_app.settings import OnnxNetwork
from serve_app.types import Array, Size

_MULTIPLE = 32  # px; what networks with a free input size ask of its sides
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}

Floats = NDArray[np.float32]


class ExternalEngine:
    """Brings each picture to the network's own size and form, and its answer back.

    The trimap is not for it: such networks take a picture alone. What a request's trimap says is
    honoured after the network, as with any other.
    """

    def __init__(
        self,
        path: Path,
        network: OnnxNetwork,
        device: str = "auto",
        threads: int = 0,
        reason: str = "set",
    ) -> None:
        """Open an ONNX file.

        Raises:
            CheckpointError: no such file.
            EngineError: ONNX Runtime is missing, or the file does not fit `model.onnx`.
        """
        if not path.is_file():
            raise CheckpointError(f"model_path '{path}' is not a file: set model_path to one")
        content = path.read_bytes()
        self._network = network
        self._session, device = open_session(content, device, threads)
        first = self._session.get_inputs()[0]
        outputs = len(self._session.get_outputs())
        if first.type not in _TYPES:
            raise EngineError(f"'{path}' takes {first.type}; a picture is {', '.join(_TYPES)}")
        if not -outputs <= network.output < outputs:
            raise EngineError(
                f"model.onnx.output = {network.output}: '{path}' has {outputs} outputs, from 0 to "
                f"{outputs - 1}"
            )
        self._input, self._type = first.name, _TYPES[first.type]
        self.batches: tuple[int, ...] = (1,)
        self.info = EngineInfo(
            path.stem,
            "external",
            hashlib.sha256(content).hexdigest(),
            engine="onnx",
            device=device,
            precision="fp16" if self._type is np.float16 else "fp32",
            reason=reason,
        )
        self._try_once(path)

    def predict(self, rgb: Array, trimap: Array) -> Array:  # noqa: ARG002
        return np.stack([self._predict(image) for image in rgb])

    def _try_once(self, path: Path) -> None:
        """Run a black picture, so that a wrong form is an error at start and not of a request."""
        try:
            self._predict(np.zeros((*self._network.size, 3), np.uint8))
        except MattingError:
            raise
        except Exception as exc:  # its error classes are private to a compiled module
            raise EngineError(
                f"'{path}' does not take a picture as model.onnx describes it: {exc}"
            ) from exc

    def _predict(self, image: Array) -> Array:
        """uint8 [H, W, 3] -> uint8 [H, W]."""
        size = image.shape[0], image.shape[1]
        inside, padded = fitted(size, self._network)
        values = form(_padded(_resized(image, inside), padded), self._network)
        feeds = {self._input: values.astype(self._type)}
        outputs = run(self._session, feeds, image[None], self.info.device)
        alpha = np.squeeze(np.asarray(outputs[self._network.output], np.float32))
        if alpha.ndim != 2:
            raise EngineError(
                f"output {self._network.output} has the shape {alpha.shape} and an alpha has "
                "height and width alone: set model.onnx.output"
            )
        if self._network.activation == "sigmoid":
            alpha = np.asarray(1 / (1 + np.exp(-np.clip(alpha, -60, 60))), np.float32)
        # The answer may be coarser than the input; the padding is the same share of it.
        rows = max(1, round(alpha.shape[0] * inside[0] / padded[0]))
        columns = max(1, round(alpha.shape[1] * inside[1] / padded[1]))
        levels = np.rint(np.clip(alpha[:rows, :columns], 0, 1) * 255).astype(np.uint8)
        return _resized(levels, size)


def fitted(size: Size, network: OnnxNetwork) -> tuple[Size, Size]:
    """The size that a picture is brought to, and that of the input which it is padded to."""
    height, width = network.size
    if network.fit == "stretch":
        return network.size, network.size
    if network.fit == "pad":
        scale = min(height / size[0], width / size[1])
        inside = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
        return inside, network.size
    scale = min(height, width) / min(size)
    inside = _whole(size[0] * scale), _whole(size[1] * scale)
    return inside, inside


def form(image: Array, network: OnnxNetwork) -> Floats:
    """uint8 [h, w, 3] sRGB -> the network's input, with the batch's axis.

    The numbers are the settings' alone: the same colour is the same value in every picture.
    """
    if network.channels == "bgr":
        image = image[..., ::-1]
    values = image.astype(np.float32) * np.float32(network.scale)
    mean, std = (np.array(numbers, np.float32) for numbers in (network.mean, network.std))
    values = (values - mean) / std
    if network.layout == "nchw":
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values[None])


def _resized(image: Array, size: Size) -> Array:
    if image.shape[:2] == size:
        return image
    smaller = size[0] * size[1] < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size[::-1], interpolation=method), np.uint8)


def _padded(image: Array, size: Size) -> Array:
    below, right = size[0] - image.shape[0], size[1] - image.shape[1]
    padded = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return np.asarray(padded, np.uint8)


def _whole(side: float) -> int:
    return max(1, int(side) // _MULTIPLE) * _MULTIPLE
