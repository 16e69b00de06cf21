"""Requests to every surface, with damaged files, odd options and broken framing in them."""

import base64
import json
import random
from collections.abc import Callable
from typing import Any

import httpx

from benchmarks.fuzz.files import mutated_file, valid_files

Request = dict[str, Any]  # keyword arguments of httpx.Client.build_request, without the URL
Surface = Callable[[random.Random], Request]

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


def damaged_bytes(rng: random.Random, data: bytes) -> bytes:
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


def file(rng: random.Random) -> bytes:
    """A file as it should be, or one that is damaged."""
    if rng.random() < 0.3:
        return rng.choice(list(valid_files().values()))
    return mutated_file(rng)[1]


def fields(rng: random.Random, names: list[str]) -> dict[str, str]:
    chosen = rng.sample(names, rng.randrange(4))
    return {name: rng.choice(TEXTS) for name in chosen}


def multipart(rng: random.Random, names: list[str], file_names: list[str]) -> Request:
    """A form with a damaged file or two; now and then the form itself is damaged too."""
    parts: list[Any] = [(name, (None, text)) for name, text in fields(rng, names).items()]
    for name in file_names[: rng.choice((0, 1, 1, 1, 2))]:
        parts.append((name, ("a.png", file(rng))))
    rng.shuffle(parts)
    # httpx would choose the boundary by chance: the same seed must be the same request.
    boundary = f"boundary{rng.randrange(10**9)}"
    kind = {"content-type": f"multipart/form-data; boundary={boundary}"}
    request = {"files": parts or [("x", (None, ""))], "headers": kind}
    if rng.random() < 0.7:
        return request
    body = httpx.Request("POST", "http://x", **request).read()
    return {"content": damaged_bytes(rng, body), "headers": kind}


def raw(rng: random.Random) -> Request:
    kind = rng.choice(("image/png", "", "text/plain", "multipart/form-data", "application/json"))
    kind = rng.choice((kind, kind + "; boundary=x", kind + "; charset=\xff".encode().hex()))
    return {"content": file(rng), "headers": {"content-type": kind}}


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
    values["image_file_b64"] = base64.b64encode(file(rng)).decode()
    if kind < 0.7:
        return {"data": values}
    odd = rng.choice((None, 1, -1.5, True, [], {"a": [1]}, "x" * 100))
    values[rng.choice(REMOVEBG)] = odd
    body = json.dumps(values).encode()
    head = {"content-type": "application/json"}
    return {"content": damaged_bytes(rng, body) if kind > 0.9 else body, "headers": head}


def rembg(rng: random.Random) -> Request:
    if rng.random() < 0.2:
        return {"method": "GET", "params": fields(rng, REMBG)}
    return {"params": fields(rng, REMBG), **multipart(rng, REMBG, ["file"])}


SURFACES: dict[str, Surface] = {
    "/v1/matting": native,
    "/v1/matting/batch": batch,
    "/v1.0/removebg": removebg,
    "/api/remove": rembg,
}


def mutated_request(rng: random.Random, base_url: str) -> httpx.Request:
    """A request to one of the surfaces, most often to the native one."""
    path = rng.choice(("/v1/matting", "/v1/matting", *SURFACES))
    request = SURFACES[path](rng)
    return httpx.Request(request.pop("method", "POST"), base_url + path, **request)
