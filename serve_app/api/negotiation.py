"""What the answer is where only `Accept` says it (RFC 9110, section 12.5.1)."""

from collections.abc import Mapping
from typing import Literal

ImageFormat = Literal["png", "webp", "jpeg", "zip"]

_OFFERS: tuple[tuple[str, ImageFormat], ...] = (
    ("image/png", "png"),  # first: the answer where nothing decides
    ("image/webp", "webp"),
    ("image/jpeg", "jpeg"),
    ("application/zip", "zip"),
)


def preferred_format(accept: str) -> ImageFormat:
    """The format that `Accept` likes best; a named type wins over a wildcard of the same weight.

    PNG where the header is empty, broken or accepts none of ours: an image that the client said
    nothing about is of more use than a 406.
    """
    weights = _weights(accept)
    best: ImageFormat = "png"
    best_rank = (0.0, 0)
    for media_type, name in _OFFERS:
        rank = _rank(weights, media_type)
        if rank > best_rank and rank[0] > 0:
            best, best_rank = name, rank
    return best


def prefers_json(accept: str) -> bool:
    """Whether JSON is liked better than an image, and not merely named beside `*/*`.

    Libraries do that on every request, whatever it is for: `application/json, text/plain, */*`.
    """
    weights = _weights(accept)
    return _rank(weights, "application/json")[0] > _rank(weights, "image/png")[0]


def _rank(weights: Mapping[str, float], media_type: str) -> tuple[float, int]:
    """How much a type is liked, and how precisely it is named."""
    major = media_type.partition("/")[0]
    candidates = ((media_type, 2), (f"{major}/*", 1), ("*/*", 0))
    pattern, precision = next((c for c in candidates if c[0] in weights), ("", 0))
    return weights.get(pattern, 0.0), precision


def _weights(accept: str) -> dict[str, float]:
    weights = {}
    for part in accept.lower().split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            weights[media_type] = min(1.0, max(0.0, float(weight)))
        except ValueError:
            continue
    return weights
