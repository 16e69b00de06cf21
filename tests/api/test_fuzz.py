"""Random and broken requests, the same ones every time: whatever comes, nobody's fault is a 5xx."""

import base64
import json
import random
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from tests.conftest import encoded, picture

REQUESTS = 1000

Request = dict[str, Any]
Surface = Callable[[random.Random], Request]

_SMALL = picture(24, 32)
FILES = [
    encoded(_SMALL, "PNG"),
    encoded(_SMALL, "JPEG"),
    encoded(_SMALL, "JPEG", progressive=True),
    encoded(_SMALL, "WEBP"),
    encoded(_SMALL, "WEBP", lossless=True),
    encoded(_SMALL, "GIF"),
    encoded(_SMALL, "BMP"),
    encoded(_SMALL, "TIFF"),
    encoded(_SMALL, "AVIF"),
    encoded(np.dstack([_SMALL, _SMALL[..., 0]]), "PNG"),
]
TEXTS = [
    *("", "0", "-1", "1e309", "nan", "true", "null", "100%", "0% 0% 50% 50%", "0 0 1px 1px"),
    *("#fff", "red", "99999999999999999999", "½", "\x00", "a" * 5000, "📷", "../../x", "%s%n"),
    *("4mp", "0.0mp", "1 2 3 4", "png", "auto", "none", "[]", "{}", "http://127.0.0.1/", "1,2,3,4"),
]
NATIVE = [
    *("preset", "output", "format", "quality", "max_side", "size", "alpha_threshold", "erode"),
    *("feather", "refine", "decontaminate", "background", "crop", "margin", "roi", "scale"),
    *("position", "shadow", "shadow_opacity", "semitransparency", "image", "trimap", "colour"),
]
REMOVEBG = [
    *("image_file_b64", "image_url", "size", "format", "channels", "type", "type_level", "roi"),
    *("crop", "crop_margin", "scale", "position", "bg_color", "bg_image_url", "shadow_type"),
    *("shadow_opacity", "add_shadow", "semitransparency", "image_file"),
]
REMBG = ["url", "model", "a", "af", "ab", "ae", "om", "ppm", "dc", "vm", "bgc", "extras", "file"]


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Cut short, with bytes changed, put in or taken out; or only noise."""
    out = bytearray(data)
    for _ in range(rng.choice((0, 1, 1, 3, 20))):
        at = rng.randrange(len(out) + 1)
        kind = rng.randrange(4)
        if kind == 0:
            out[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            out[at:at] = rng.randbytes(rng.randrange(9))
        elif kind == 2:
            del out[at : at + rng.randrange(9)]
        else:
            del out[at:]
    return bytes(out) if rng.random() < 0.9 else rng.randbytes(rng.randrange(300))


def fields(rng: random.Random, names: list[str]) -> dict[str, str]:
    chosen = rng.sample(names, rng.randrange(4))
    return {name: rng.choice(TEXTS) for name in chosen}


def multipart(rng: random.Random, names: list[str], file_names: list[str]) -> Request:
    """A form with a damaged file or two; now and then the form itself is damaged too."""
    parts: list[Any] = [(name, (None, text)) for name, text in fields(rng, names).items()]
    for name in file_names[: rng.choice((0, 1, 1, 1, 2))]:
        parts.append((name, ("a.png", damaged(rng, rng.choice(FILES)))))
    rng.shuffle(parts)
    if rng.random() < 0.7:
        return {"files": parts or [("x", (None, ""))]}
    request = httpx.Request("POST", "http://x", files=parts or [("x", (None, ""))])
    body = damaged(rng, request.read())
    return {"content": body, "headers": {"content-type": request.headers["content-type"]}}


def raw(rng: random.Random) -> Request:
    kind = rng.choice(("image/png", "", "text/plain", "multipart/form-data", "application/json"))
    kind = rng.choice((kind, kind + "; boundary=x", kind + "; charset=\xff".encode().hex()))
    return {"content": damaged(rng, rng.choice(FILES)), "headers": {"content-type": kind}}


def native(rng: random.Random) -> Request:
    if rng.random() < 0.2:
        return {"params": fields(rng, NATIVE), **raw(rng)}
    return multipart(rng, NATIVE, ["image", rng.choice(("background_image", "trimap", "image"))])


def batch(rng: random.Random) -> Request:
    return raw(rng) if rng.random() < 0.1 else multipart(rng, NATIVE[:-1], ["image", "image"])


def removebg(rng: random.Random) -> Request:
    kind = rng.random()
    if kind < 0.1:
        return raw(rng)
    if kind < 0.5:
        return multipart(rng, REMOVEBG, ["image_file", "bg_image_file"])
    values: dict[str, Any] = fields(rng, REMOVEBG)
    values["image_file_b64"] = base64.b64encode(damaged(rng, rng.choice(FILES))).decode()
    if kind < 0.7:
        return {"data": values}
    odd = rng.choice((None, 1, -1.5, True, [], {"a": [1]}, "x" * 100))
    values[rng.choice(REMOVEBG)] = odd
    body = json.dumps(values).encode()
    head = {"content-type": "application/json"}
    return {"content": damaged(rng, body) if kind > 0.9 else body, "headers": head}


def rembg(rng: random.Random) -> Request:
    if rng.random() < 0.2:
        return {"method": "GET", "params": fields(rng, REMBG)}
    return {"params": fields(rng, REMBG), **multipart(rng, REMBG, ["file"])}


@pytest.mark.parametrize(
    ("path", "surface"),
    [
        ("/v1/matting", native),
        ("/v1/matting/batch", batch),
        ("/v1.0/removebg", removebg),
        ("/api/remove", rembg),
    ],
)
def test_no_request_is_answered_with_a_5xx(
    client: httpx.Client, path: str, surface: Surface
) -> None:
    rng = random.Random(7)
    statuses: dict[int, int] = {}
    for i in range(REQUESTS):
        request = surface(rng)
        response = client.request(request.pop("method", "POST"), path, **request)
        statuses[response.status_code] = statuses.get(response.status_code, 0) + 1
        assert response.status_code < 500, (i, request, response.text)
    # The damage must not be such that nothing gets through to the decoders and beyond.
    assert statuses[200] > 30
    assert statuses[400] > 100
