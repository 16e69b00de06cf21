"""Soft alphas out of binary masks, solved within a band around the edge.

A mask says 0 or 1 where hair is in between. Closed-form matting (Levin, Lischinski, Weiss, TPAMI
2008) looks for the alpha that is, in every 3x3 window, a linear function of the colour. Here a
second term holds it to the mask all through the band. Without it, colours bleed over edges that
they don't show, and strands without a certain pixel are lost: of true alphas made binary, smoothed
and solved again, about a tenth of the error near the edge was gone at best, with it a third.
"""

import hashlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from serve_app.errors import InputError, SetupError
from serve_app.evaluation import read_alpha

OPAQUE = 128  # of 255: from here on a mask says subject

_HOLD = 0.3  # weight of the mask against the colours
_SMOOTH = 1e-5  # of the colours' covariance, as a regularizer: above the noise of a JPEG
_RESIDUAL = 1e-4  # relative; a difference below 1/255
_ITERATIONS = 100  # of conjugate gradients; a photo takes a few
_MARGIN = 2  # px around the band: the windows of its pixels reach that far


def cached_alpha(image: np.ndarray, mask: np.ndarray, band: int, file: Path) -> np.ndarray | None:
    """`solve_alpha`, or what an earlier call with the same pixels and band has left on disk.

    `file` is a path without suffix: a digest of what was solved is appended to its name.
    """
    digest = hashlib.sha256(f"{band} {_HOLD} {_SMOOTH} {image.shape}".encode())
    digest.update(image.tobytes())
    digest.update(mask.tobytes())
    file = file.with_name(f"{file.name}-{digest.hexdigest()[:12]}.png")
    try:
        return read_alpha(file)
    except InputError:  # not solved yet, or a file damaged since
        alpha = solve_alpha(image, mask, band)
    if alpha is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        Image.fromarray(alpha).save(part, "PNG")
        part.replace(file)  # in one step, whenever the run is ended
    return alpha


def check_solver() -> None:
    """Raise SetupError if PyMatting is not installed."""
    try:
        import pymatting  # noqa: F401
    except ImportError as exc:
        raise SetupError(
            f"sources with `solve` need PyMatting ({exc}): pip install 'cvunet-serve[train]', or "
            "take `solve` out of the settings"
        ) from exc


def solve_alpha(image: np.ndarray, mask: np.ndarray, band: int) -> np.ndarray | None:
    """Alpha uint8 HW of an image uint8 HWC RGB and a mask uint8 HW.

    None where there is nothing to solve, a mask without an edge, or no solution.
    """
    subject = mask >= OPAQUE
    unknown = near_edge(subject, band)
    if not unknown.any():
        return None
    window = around(unknown)
    solved = _solve(image[window], subject[window], unknown[window])
    if solved is None:
        return None
    alpha = np.where(subject, np.uint8(255), np.uint8(0))
    alpha[unknown] = np.rint(solved.clip(0, 1) * 255)
    return alpha


def _solve(image: np.ndarray, subject: np.ndarray, unknown: np.ndarray) -> np.ndarray | None:
    """The alpha of the unknown pixels, float64, in their order."""
    # They belong to the `train` extra and take seconds to import: only where something is solved.
    from pymatting import cf_laplacian, cg, ichol
    from scipy.sparse import identity

    free = unknown.ravel()
    prior = subject.ravel().astype(np.float64)
    rows = cf_laplacian(image / 255, epsilon=_SMOOTH, is_known=~free)[free]
    matrix = (rows[:, free] + _HOLD * identity(int(free.sum()))).tocsr()
    right = _HOLD * prior[free] - rows[:, ~free].dot(prior[~free])
    start = prior[free]
    try:
        solved = cg(matrix, right, start, rtol=_RESIDUAL, maxiter=_ITERATIONS, M=ichol(matrix))
    except ValueError:  # PyMatting's, of a matrix it cannot factor or too many iterations
        return None
    return solved if np.isfinite(solved).all() else None


def near_edge(mask: np.ndarray, band: int) -> np.ndarray:
    """What is within `band` pixels of an edge of the mask, bool or uint8 HW; as bool HW."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * band + 1,) * 2)
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, disc) > 0


def around(where: np.ndarray) -> tuple[slice, slice]:
    """The window that holds all of `where`, with a margin."""
    rows, columns = (np.flatnonzero(where.any(axis)) for axis in (1, 0))
    top, left = (max(0, int(indices[0]) - _MARGIN) for indices in (rows, columns))
    bottom, right = (int(indices[-1]) + 1 + _MARGIN for indices in (rows, columns))
    return slice(top, bottom), slice(left, right)
