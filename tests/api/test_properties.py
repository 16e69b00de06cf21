"""Any valid combination of options is answered with what it promises."""

import io
import re
import zipfile
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from serve_app.imaging.background import parse_color
from serve_app.imaging.geometry import plan
from serve_app.options import Options, load_presets, resolve_options
from serve_app.settings import Settings, resolve_path
from serve_app.types import Size
from tests.conftest import encoded, picture

PRESETS = load_presets(resolve_path(Settings().presets_path))
KINDS = {"png": "PNG", "webp": "WEBP", "jpeg": "JPEG"}

percent = st.integers(0, 100).map("{}%".format)
length = st.one_of(st.integers(0, 20).map("{}px".format), st.integers(0, 30).map("{}%".format))
roi = st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(60, 100)] * 2).map(
    lambda corners: " ".join(f"{corner}%" for corner in corners)
)
background = st.sampled_from(["transparent", "blur", "white", "#0f0", "#12345678", "#abcd"])

OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "preset": st.sampled_from(sorted(PRESETS)),
    "format": st.sampled_from(["auto", "png", "webp", "jpeg", "zip"]),
    "quality": st.integers(1, 100),
    "max_side": st.integers(128, 300),
    "size": st.sampled_from(["original", "network", "0.005mp", "0.01mp", "9mp"]),
    "alpha_threshold": st.integers(0, 50),
    "erode": st.integers(0, 5),
    "feather": st.integers(0, 10),
    "refine": st.sampled_from(["none", "guided"]),
    "decontaminate": st.booleans(),
    "background": background,
    "crop": st.booleans(),
    "margin": st.lists(length, min_size=1, max_size=2).map(" ".join),
    "roi": roi,
    "scale": st.one_of(st.just("original"), st.integers(10, 100).map("{}%".format)),
    "position": st.one_of(
        st.sampled_from(["original", "center"]),
        st.lists(percent, min_size=1, max_size=2).map(" ".join),
    ),
    "shadow": st.sampled_from(["none", "drop", "ground"]),
    "shadow_opacity": st.integers(0, 100),
    "semitransparency": st.booleans(),
}


@st.composite
def requests(draw: st.DrawFn) -> tuple[dict[str, Any], bool]:
    """Options, and whether there is a background image, that do not contradict each other."""
    chosen = draw(st.fixed_dictionaries({}, optional=OPTIONS))
    has_image = draw(st.booleans()) and chosen.get("background", "transparent") == "transparent"
    has_own = has_image or chosen.get("background", "transparent") != "transparent"
    outputs = ["alpha", "trimap", "composite"] if has_own else ["alpha", "trimap", "cutout"]
    if output := draw(st.sampled_from(["", *outputs])):
        chosen["output"] = output
    return chosen, has_image


@given(
    request=requests(),
    size=st.tuples(st.integers(40, 200), st.integers(40, 200)),
    kind=st.sampled_from(["PNG", "JPEG", "WEBP"]),
)
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_what_is_promised_comes_back(
    client: httpx.Client, request: tuple[dict[str, Any], bool], size: Size, kind: str
) -> None:
    chosen, has_image = request
    files = {"image": encoded(picture(*size), kind)}
    if has_image:
        files["background_image"] = encoded(picture(30, 50)[..., ::-1].copy())
    fields = {name: str(value) for name, value in chosen.items()}
    response = client.post("/v1/matting", files=files, data=fields)
    assert response.status_code == 200, response.text
    options = resolve_options(chosen, PRESETS, has_background_image=has_image)
    network = plan(size, options.max_side, 64).network
    check_headers(response, check_body(response, options, has_image), options)
    height, width = options.output_size(size, network)
    body_height, body_width = answered_size(response)
    if options.crop:
        assert body_height <= height
        assert body_width <= width
    else:
        assert (body_height, body_width) == (height, width)


def check_body(response: httpx.Response, options: Options, has_image: bool) -> Image.Image:
    """The file's format and mode; gives the picture, of a ZIP its alpha."""
    if options.format == "zip":
        assert response.headers["content-type"] == "application/zip"
        archive = zipfile.ZipFile(io.BytesIO(response.content))
        assert archive.namelist() == ["color.jpg", "alpha.png"]
        color, alpha = (Image.open(archive.open(name)) for name in archive.namelist())
        assert (color.mode, alpha.mode, color.size) == ("RGB", "L", alpha.size)
        return alpha
    image = Image.open(io.BytesIO(response.content))
    format = "png" if options.format == "auto" else options.format
    assert (response.headers["content-type"], image.format) == (f"image/{format}", KINDS[format])
    assert image.mode == promised_mode(options, format, has_image)
    return image


def promised_mode(options: Options, format: str, has_image: bool) -> str:
    if options.output in ("alpha", "trimap"):
        return "RGB" if format == "webp" else "L"  # WebP knows no grey
    if format == "jpeg":
        return "RGB"
    if options.output == "cutout":
        return "RGBA"
    opaque = has_image or options.background == "blur" or parse_color(options.background)[3] == 255
    return "RGB" if opaque else "RGBA"


def answered_size(response: httpx.Response) -> Size:
    if response.headers["content-type"] == "application/zip":
        archive = zipfile.ZipFile(io.BytesIO(response.content))
        return Image.open(archive.open("alpha.png")).size[::-1]
    return Image.open(io.BytesIO(response.content)).size[::-1]


def check_headers(response: httpx.Response, image: Image.Image, options: Options) -> None:
    headers = response.headers
    top, left, width, height = (
        int(headers[f"x-foreground-{side}"]) for side in ("top", "left", "width", "height")
    )
    assert 0 <= top <= top + height <= image.height
    assert 0 <= left <= left + width <= image.width
    for stage in ("decode", "infer", "post", "encode"):
        assert re.search(rf"\b{stage};dur=[\d.]+", headers["server-timing"])
    assert headers["x-model"].startswith("fake/")
    assert headers["x-batch-size"] == "1"
    assert len(headers["x-request-id"]) == 32


def test_the_property_covers_every_option() -> None:
    assert {"output", *OPTIONS} == {"preset", *Options.model_fields}
