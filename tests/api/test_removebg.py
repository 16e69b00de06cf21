"""Every parameter, header and error code of the remove.bg surface."""

import base64
import io
import json
import time
import zipfile

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from serve_app.api.app import build_api
from serve_app.api.removebg.parameters import translate
from serve_app.api.service import LocalMatting
from serve_app.engines.fake import FakeEngine
from serve_app.settings import Settings
from tests.api.conftest import Post
from tests.conftest import encoded, picture

URL = "/v1.0/removebg"


def opened(response: httpx.Response) -> Image.Image:
    assert response.status_code == 200, response.text
    image = Image.open(io.BytesIO(response.content))
    image.load()
    return image


def fault(response: httpx.Response) -> str:
    """The one error's code; its shape and the CORS header are checked on the way."""
    assert response.headers["content-type"] == "application/json"
    assert response.headers["access-control-allow-origin"] == "*"
    (error,) = response.json()["errors"]
    assert set(error) <= {"title", "code", "detail"}
    assert error["title"]
    return str(error["code"])


def test_the_default_answer(remove: Post) -> None:
    before = time.time()
    response = remove()
    image = opened(response)
    assert (image.mode, image.size, image.format) == ("RGBA", (160, 90), "PNG")
    alpha = np.asarray(image)[..., 3]
    assert alpha[45, 80] == 250
    assert alpha[0, 0] == 0
    headers = response.headers
    assert headers["content-type"] == "image/png"
    assert headers["x-type"] == "other"
    assert (headers["x-width"], headers["x-height"]) == ("160", "90")
    assert (headers["x-max-width"], headers["x-max-height"]) == ("160", "90")
    assert headers["x-credits-charged"] == "0"
    assert int(headers["x-ratelimit-remaining"]) <= int(headers["x-ratelimit-limit"])
    assert before < int(headers["x-ratelimit-reset"]) <= before + 61
    box = [int(headers[f"x-foreground-{side}"]) for side in ("top", "left", "width", "height")]
    assert box == [16, 51, 59, 59]
    assert headers["access-control-allow-origin"] == "*"


def test_the_json_envelope(client: httpx.Client, photo: bytes) -> None:
    response = client.post(URL, files={"image_file": photo}, headers={"Accept": "application/json"})
    data = response.json()["data"]
    assert list(data) == [
        "result_b64",
        "foreground_top",
        "foreground_left",
        "foreground_width",
        "foreground_height",
    ]
    image = Image.open(io.BytesIO(base64.b64decode(data["result_b64"])))
    assert image.size == (160, 90)
    assert (data["foreground_top"], data["foreground_width"]) == (16, 59)
    assert response.headers["x-width"] == "160"


@pytest.mark.parametrize(
    "accept", ["application/json, text/plain, */*", "application/json;q=0, image/png"]
)
def test_json_that_is_not_liked_better_gives_the_image(
    client: httpx.Client, photo: bytes, accept: str
) -> None:
    """As axios asks with the first of these; remove.bg's own example for Node saves its answer."""
    response = client.post(URL, files={"image_file": photo}, headers={"Accept": accept})
    assert opened(response).size == (160, 90)


@pytest.mark.parametrize("body", ["multipart", "urlencoded", "json"])
@pytest.mark.parametrize("source", ["b64", "data-url", "url"])
def test_every_body_takes_every_source(
    client: httpx.Client, photo: bytes, photo_host: str, body: str, source: str
) -> None:
    text = base64.b64encode(photo).decode()
    fields = {
        "b64": {"image_file_b64": text},
        "data-url": {"image_file_b64": f"data:image/png;base64,{text}"},
        "url": {"image_url": f"{photo_host}/photo.png"},
    }[source]
    if body == "json":
        response = client.post(URL, json={**fields, "crop": True, "roi": None, "scale": ""})
    elif body == "urlencoded":
        response = client.post(URL, data={**fields, "crop": "true", "bg_color": ""})
    else:
        parts = {name: (None, value) for name, value in {**fields, "crop": "true"}.items()}
        response = client.post(URL, files=parts)
    assert opened(response).size == (59, 59)


@pytest.mark.parametrize(
    ("size", "format", "megapixels"),
    [
        ("", "webp", "0.25mp"),
        ("preview", "jpg", "0.25mp"),
        ("small", "jpg", "0.25mp"),
        ("regular", "auto", "0.25mp"),
        ("medium", "jpg", "1.5mp"),
        ("hd", "png", "4mp"),
        ("full", "png", "10mp"),
        ("full", "auto", "10mp"),
        ("4k", "webp", "25mp"),
        ("full", "jpg", "50mp"),
        ("auto", "zip", "50mp"),
    ],
)
def test_sizes_in_megapixels(size: str, format: str, megapixels: str) -> None:
    fields = {"size": size, "format": format} if size else {"format": format}
    assert translate(fields, has_background_image=False).options["size"] == megapixels


def test_a_size_is_kept_and_the_largest_one_told(client: httpx.Client) -> None:
    two_megapixels = encoded(picture(1200, 1600), "JPEG")
    response = client.post(
        URL, data={"size": "medium", "format": "jpg"}, files={"image_file": two_megapixels}
    )
    width, height = opened(response).size
    assert (response.headers["x-width"], response.headers["x-height"]) == (str(width), str(height))
    assert 1_490_000 < width * height <= 1_500_000
    assert abs(width / height - 4 / 3) < 0.01
    most = response.headers["x-max-width"], response.headers["x-max-height"]
    assert most == ("1600", "1200")


@pytest.mark.parametrize(
    ("format", "bg_color", "kind", "mode"),
    [
        ("auto", "", "PNG", "RGBA"),
        ("auto", "white", "JPEG", "RGB"),
        ("auto", "ffffff80", "PNG", "RGBA"),
        ("png", "", "PNG", "RGBA"),
        ("jpg", "", "JPEG", "RGB"),
        ("webp", "", "WEBP", "RGBA"),
    ],
)
def test_formats(remove: Post, format: str, bg_color: str, kind: str, mode: str) -> None:
    image = opened(remove(format=format, bg_color=bg_color))
    assert (image.format, image.mode) == (kind, mode)


def test_a_zip_holds_colour_and_alpha_of_one_size(remove: Post) -> None:
    response = remove(format="zip")
    assert response.headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(response.content))
    assert archive.namelist() == ["color.jpg", "alpha.png"]
    color, alpha = (Image.open(archive.open(name)) for name in archive.namelist())
    assert color.size == alpha.size == (160, 90)
    assert (color.format, alpha.mode) == ("JPEG", "L")


def test_channels_alpha_is_the_matte_alone(remove: Post) -> None:
    image = opened(remove(channels="alpha", bg_color="red"))
    assert image.mode == "L"
    assert image.getpixel((80, 45)) == 250


@pytest.mark.parametrize(
    ("given", "answered"),
    [({}, "other"), ({"type": "car"}, "car"), ({"type": "person", "type_level": "2"}, "person")],
)
def test_type(remove: Post, given: dict[str, str], answered: str) -> None:
    assert remove(**given).headers["x-type"] == answered


def test_type_level_none_leaves_the_header_out(remove: Post) -> None:
    assert "x-type" not in remove(type_level="none").headers


@pytest.mark.parametrize(
    ("roi", "kept"), [("0% 0% 50% 100%", 79), ("0 0 80px 90px", 79), ("0 0 160px 50%", 109)]
)
def test_roi_is_all_that_can_be_foreground(remove: Post, roi: str, kept: int) -> None:
    response = remove(roi=roi)
    alpha = np.asarray(opened(response))[..., 3]
    right = int(response.headers["x-foreground-left"]) + int(response.headers["x-foreground-width"])
    assert right == kept + 1
    assert not alpha[:, kept + 1 :].any()


@pytest.mark.parametrize(
    ("margin", "size"),
    [
        ("", (59, 59)),
        ("10px", (79, 79)),
        ("5px 10px", (79, 69)),
        ("1px 2px 3px 4px", (65, 63)),
        ("10%", (71, 71)),
        ("0", (59, 59)),
    ],
)
def test_crop_and_its_margin(remove: Post, margin: str, size: tuple[int, int]) -> None:
    assert opened(remove(crop="true", crop_margin=margin)).size == size


@pytest.mark.parametrize(
    ("parameters", "box"),
    [
        ({"scale": "100%"}, (0, 35, 90, 90)),
        ({"scale": "50%"}, (22, 58, 45, 45)),
        ({"scale": "50%", "position": "0%"}, (0, 0, 45, 45)),
        ({"position": "100% 0%"}, (0, 101, 59, 59)),
        ({"position": "center"}, (16, 50, 59, 59)),
        ({"scale": "original", "position": "original"}, (16, 51, 59, 59)),
    ],
)
def test_scale_and_position(
    remove: Post, parameters: dict[str, str], box: tuple[int, int, int, int]
) -> None:
    response = remove(**parameters)
    assert opened(response).size == (160, 90)
    found = [int(response.headers[f"x-foreground-{s}"]) for s in ("top", "left", "height", "width")]
    assert found == list(box)


@pytest.mark.parametrize(
    ("color", "rgb"),
    [
        ("81d4fa", (0x81, 0xD4, 0xFA)),
        ("#81d4fa", (0x81, 0xD4, 0xFA)),
        ("fff", (255, 255, 255)),
        ("green", (0, 128, 0)),
        ("00ff00ff", (0, 255, 0)),
    ],
)
def test_background_colours(remove: Post, color: str, rgb: tuple[int, int, int]) -> None:
    assert opened(remove(bg_color=color, format="png")).getpixel((0, 0)) == rgb


@pytest.mark.parametrize("color", ["0f08", "00ff0088"])
def test_translucent_backgrounds(remove: Post, color: str) -> None:
    assert opened(remove(bg_color=color)).getpixel((0, 0)) == (0, 255, 0, 0x88)


def test_a_background_image(client: httpx.Client, photo: bytes, photo_host: str) -> None:
    blue = encoded(np.full((30, 40, 3), (0, 0, 200), np.uint8))
    sent = client.post(
        URL, data={"format": "png"}, files={"image_file": photo, "bg_image_file": blue}
    )
    assert opened(sent).getpixel((0, 0)) == (0, 0, 200)
    fetched = client.post(
        URL,
        data={"bg_image_url": f"{photo_host}/photo.png", "format": "png"},
        files={"image_file": photo},
    )
    assert np.abs(np.asarray(opened(fetched)).astype(int) - picture()).max() <= 6


@pytest.mark.parametrize(
    "parameters",
    [
        {"shadow_type": "drop"},
        {"shadow_type": "auto"},
        {"shadow_type": "car"},
        {"shadow_type": "3D"},
        {"add_shadow": "true"},
    ],
)
def test_shadows_lie_under_the_subject(remove: Post, parameters: dict[str, str]) -> None:
    plain = np.asarray(opened(remove()))[..., 3].astype(int)
    full = np.asarray(opened(remove(**parameters, shadow_opacity="100")))[..., 3].astype(int)
    half = np.asarray(opened(remove(**parameters, shadow_opacity="50")))[..., 3].astype(int)
    none = np.asarray(opened(remove(**parameters, shadow_opacity="0")))[..., 3].astype(int)
    assert full.sum() > half.sum() > plain.sum()
    assert np.array_equal(none, plain)
    assert (full >= plain).all()
    assert (full - plain)[75:].sum() > (full - plain)[:15].sum()  # below it, not above


@pytest.mark.parametrize("format", ["png", "jpg", "webp"])
def test_the_resolution_is_kept(client: httpx.Client, format: str) -> None:
    photo = encoded(picture(), "JPEG", dpi=(300, 300))
    image = opened(client.post(URL, data={"format": format}, files={"image_file": photo}))
    exif = image.getexif().get(0x011A)
    assert round(float(exif or image.info["dpi"][0])) == 300


def test_no_shadow(remove: Post) -> None:
    assert remove(shadow_type="none").content == remove().content


def test_semitransparency_off_makes_it_solid(remove: Post) -> None:
    assert np.asarray(opened(remove(semitransparency="true")))[45, 80, 3] == 250
    assert np.asarray(opened(remove(semitransparency="false")))[45, 80, 3] == 255


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"size": "huge"}, "invalid_size"),
        ({"format": "gif"}, "invalid_format"),
        ({"channels": "rgb"}, "invalid_channels"),
        ({"type": "ghost"}, "invalid_type"),
        ({"type_level": "3"}, "invalid_type_level"),
        ({"roi": "1 2 3"}, "invalid_roi"),
        ({"roi": "1 2 3 4"}, "invalid_roi"),
        ({"roi": "0 0 161px 90px"}, "roi_exceeds_bounds"),
        ({"roi": "10px 10px 10px 20px"}, "roi_region_empty"),
        ({"crop": "perhaps"}, "invalid_crop"),
        ({"crop_margin": "51%"}, "invalid_crop_margin"),
        ({"crop_margin": "501px"}, "invalid_crop_margin"),
        ({"crop_margin": "1px 2px 3px"}, "invalid_crop_margin"),
        ({"crop_margin": "-1px"}, "invalid_crop_margin"),
        ({"scale": "9%"}, "invalid_scale"),
        ({"scale": "50"}, "invalid_scale"),
        ({"position": "120%"}, "invalid_position"),
        ({"bg_color": "no-colour"}, "invalid_bg_color"),
        ({"bg_color": "12345"}, "invalid_bg_color"),
        ({"bg_color": "red", "bg_image_url": "http://a.test/"}, "multiple_bg_sources"),
        ({"bg_image_url": "http://127.0.0.1/"}, "invalid_bg_image_url"),
        ({"shadow_type": "long"}, "invalid_shadow_type"),
        ({"shadow_opacity": "101"}, "invalid_shadow_opacity"),
        ({"add_shadow": "2"}, "invalid_add_shadow"),
        ({"semitransparency": "2"}, "invalid_semitransparency"),
        ({"image_url": "http://a.test/a.png"}, "multiple_sources"),
    ],
)
def test_bad_parameters(remove: Post, parameters: dict[str, str], code: str) -> None:
    response = remove(**parameters)
    assert response.status_code == 400
    assert fault(response) == code


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/missing", "failed_image_download"),
        ("/slow", "failed_image_download"),
        ("/hop", "failed_image_download"),
        ("/endless", "file_too_large"),
        ("/text", "invalid_file_type"),
        ("/to?http://127.0.0.1:1/", "invalid_image_url"),
        ("/to?file:///etc/hostname", "invalid_image_url"),
        ("/to?http://[::1", "invalid_image_url"),
    ],
)
def test_bad_urls(client: httpx.Client, photo_host: str, path: str, code: str) -> None:
    response = client.post(URL, data={"image_url": f"{photo_host}{path}"})
    assert response.status_code == 400
    assert fault(response) == code


def test_a_bad_background_url(client: httpx.Client, photo: bytes, photo_host: str) -> None:
    response = client.post(
        URL, data={"bg_image_url": f"{photo_host}/missing"}, files={"image_file": photo}
    )
    assert fault(response) == "failed_bg_download"


def test_bad_images(client: httpx.Client, photo: bytes) -> None:
    def code(data: bytes) -> str:
        response = client.post(URL, files={"image_file": ("a.png", data)})
        assert response.status_code == 400
        return fault(response)

    assert code(b"") == "failed_to_read_image"
    assert code(photo[:400]) == "failed_to_read_image"
    assert code(b"no image") == "invalid_file_type"
    assert code(bytes(3_000_001)) == "file_too_large"
    text = {"image_file_b64": (None, "A" * 6_000_000)}  # more than is kept of a part
    assert fault(client.post(URL, files=text)) == "file_too_large"
    assert code(encoded(np.zeros((1500, 1500, 3), np.uint8))) == "resolution_too_high"
    assert code(encoded(np.zeros((1, 4001, 3), np.uint8))) == "invalid_dimensions"
    assert code(encoded(np.zeros((20, 20, 3), np.uint8))) == "unknown_foreground"


def test_no_source_and_unreadable_bodies(client: httpx.Client) -> None:
    assert fault(client.post(URL)) == "missing_source"
    assert fault(client.post(URL, data={"image_url": ""})) == "missing_source"
    assert fault(client.post(URL, json={"image_url": None})) == "missing_source"
    assert fault(client.post(URL, json=[1])) == "invalid_json"
    assert fault(client.post(URL, json={"image_file_b64": "!"})) == "failed_to_read_image"
    for kind, code in (("", "missing_source"), ("; boundary=x", "invalid_request")):
        head = {"content-type": f"multipart/form-data{kind}"}
        broken = client.post(URL, content=b"x", headers=head)
        assert (broken.status_code, fault(broken)) == (400, code)


@pytest.mark.parametrize("name", ["size", "image_file_b64", "image_url"])
def test_half_a_surrogate_pair_in_json(client: httpx.Client, photo_host: str, name: str) -> None:
    fields = {"image_url": f"{photo_host}/missing"}
    if name == "image_file_b64":
        fields = {}
    fields[name] = f"{fields.get(name, '')}\ud800"
    head = {"content-type": "application/json"}
    response = client.post(URL, content=json.dumps(fields), headers=head)
    assert response.status_code == 400
    assert fault(response) in {"invalid_size", "failed_to_read_image", "failed_image_download"}


def test_an_empty_field_beside_a_given_one_is_none(client: httpx.Client, photo: bytes) -> None:
    parts = [("image_file", ("a.png", photo)), ("format", (None, "jpg")), ("format", (None, ""))]
    assert opened(client.post(URL, files=parts)).format == "JPEG"


def test_unknown_paths_and_methods_answer_in_the_same_shape(client: httpx.Client) -> None:
    assert fault(client.get("/v1.0/nothing")) == "invalid_request"
    response = client.get(URL)
    assert (response.status_code, fault(response)) == (405, "invalid_request")
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("path", [URL, "/v1.0/nothing", "/api/remove"])
def test_a_websocket_is_refused(settings: Settings, path: str) -> None:
    app = build_api(LocalMatting(FakeEngine(), settings), settings, {})
    with pytest.raises(WebSocketDisconnect), TestClient(app).websocket_connect(path):
        pass


def test_a_preflight_is_answered(client: httpx.Client) -> None:
    response = client.options(URL, headers={"Access-Control-Request-Headers": "x-api-key"})
    assert response.status_code == 204
    assert "X-API-Key" in response.headers["access-control-allow-headers"]


def test_account(client: httpx.Client) -> None:
    assert client.get("/v1.0/account").json() == {
        "data": {
            "attributes": {
                "credits": {"total": 0, "subscription": 0, "payg": 0, "enterprise": 0},
                "api": {"free_calls": 0, "sizes": "all"},
            }
        }
    }
