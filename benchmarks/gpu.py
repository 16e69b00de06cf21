"""How busy the GPU is, asked of NVIDIA's management library, which comes with the driver."""

import ctypes
from collections.abc import Callable

_LIBRARY = "libnvidia-ml.so.1"


class _Utilization(ctypes.Structure):
    """`nvmlUtilization_t`: percent of the time in which a kernel ran, or memory was at work."""

    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


def open_gpu() -> Callable[[], float | None]:
    """Give what tells the share of its time in which the first GPU ran a kernel, over the last
    sixth of a second to a second; it tells None where there is no GPU.
    """
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return lambda: None
    device = ctypes.c_void_p()
    if library.nvmlInit_v2() or library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)):
        return lambda: None

    def share() -> float | None:
        found = _Utilization()
        failed = library.nvmlDeviceGetUtilizationRates(device, ctypes.byref(found))
        return None if failed else found.gpu / 100

    return share
