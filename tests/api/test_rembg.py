"""The HTTP shape of rembg 2.x, parameter by parameter."""

import io

import httpx
import pytest
from PIL import Image

from serve_app.settings import Settings
from tests.api.conftest import serving
from tests.conftest import encoded, picture

URL = "/api/remove"


def opened(response: httpx.Response) -> Image.Image:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    image = Image.open(io.BytesIO(response.content))
    image.load()
    return image


def post(client: httpx.Client, photo: bytes, query: str = "", **form: str) -> httpx.Response:
    return client.post(f"{URL}{query}", files={"file": ("a.jpg", photo)}, data=form)


def test_a_file_becomes_a_cutout(client: httpx.Client, photo: bytes) -> None:
    image = opened(post(client, photo))
    assert (image.format, image.mode, image.size) == ("PNG", "RGBA", (160, 90))
    assert [image.getpixel(at)[3] for at in ((80, 45), (0, 0))] == [250, 0]


def test_a_url_becomes_the_same(client: httpx.Client, photo: bytes, photo_host: str) -> None:
    fetched = client.get(URL, params={"url": f"{photo_host}/photo.png"})
    assert opened(fetched).tobytes() == opened(post(client, photo)).tobytes()


def test_only_the_mask(client: httpx.Client, photo: bytes, photo_host: str) -> None:
    assert opened(post(client, photo, om="true")).mode == "L"
    params = {"url": f"{photo_host}/photo.png", "om": "true", "bgc": "0,0,0,255"}
    assert opened(client.get(URL, params=params)).mode == "L"


def test_the_background_colour_is_a_query_parameter(client: httpx.Client, photo: bytes) -> None:
    image = opened(post(client, photo, "?bgc=10,20,30,255")).convert("RGBA")
    assert image.getpixel((0, 0)) == (10, 20, 30, 255)
    assert opened(post(client, photo, "?bgc=10,20,30,40")).getpixel((0, 0)) == (10, 20, 30, 40)
    in_the_form = post(client, photo, bgc="10,20,30,255")
    assert opened(in_the_form).getpixel((0, 0))[3] == 0


def test_post_processing_makes_the_mask_solid(client: httpx.Client, photo: bytes) -> None:
    assert opened(post(client, photo, ppm="true")).getpixel((80, 45))[3] == 255


def test_dc_takes_the_old_background_out_of_soft_pixels(client: httpx.Client) -> None:
    image = picture()
    image[40:50, 40:120] = (128, 120, 0)  # half seen through, and green behind
    soft = encoded(image)
    plain, clean = (opened(post(client, soft, dc=dc)) for dc in ("false", "true"))
    assert plain.getpixel((45, 45))[:3] == (128, 120, 0)
    assert clean.getpixel((45, 45))[:3] != (128, 120, 0)


@pytest.mark.parametrize(
    "form",
    [
        {"model": "isnet-general-use"},
        {"a": "true", "af": "200", "ab": "20", "ae": "5"},
        {"vm": "true"},
        {"model": "", "af": "", "om": ""},
        {"unknown": "x"},
    ],
)
def test_accepted(client: httpx.Client, photo: bytes, form: dict[str, str]) -> None:
    assert opened(post(client, photo, "?extras=%7B%22x%22%3A1%7D", **form)).mode == "RGBA"


def test_a_media_type_in_capitals(client: httpx.Client, photo: bytes) -> None:
    request = client.build_request("POST", URL, files={"file": photo})
    head = request.headers["content-type"].replace("multipart/form-data", "Multipart/Form-Data")
    opened(client.post(URL, content=request.read(), headers={"Content-Type": head}))


@pytest.mark.parametrize(
    ("query", "form", "loc"),
    [
        ("", {"model": "gpt"}, ["body", "model"]),
        ("", {"af": "256"}, ["body", "af"]),
        ("", {"ab": "x"}, ["body", "ab"]),
        ("", {"ae": "-1"}, ["body", "ae"]),
        ("", {"om": "perhaps"}, ["body", "om"]),
        ("?bgc=red", {}, ["query", "bgc"]),
        ("?bgc=1,2,3,256", {}, ["query", "bgc"]),
    ],
)
def test_validation_is_422(
    client: httpx.Client, photo: bytes, query: str, form: dict[str, str], loc: list[str]
) -> None:
    response = post(client, photo, query, **form)
    assert response.status_code == 422
    (problem,) = response.json()["detail"]
    assert problem["loc"] == loc
    assert {"type", "msg", "input"} <= set(problem)


def test_what_is_missing_is_422(client: httpx.Client) -> None:
    missing = {"type": "missing", "msg": "Field required", "input": None}
    file = client.post(URL)
    assert (file.status_code, file.json()) == (
        422,
        {"detail": [{**missing, "loc": ["body", "file"]}]},
    )
    url = client.get(URL)
    assert (url.status_code, url.json()) == (
        422,
        {"detail": [{**missing, "loc": ["query", "url"]}]},
    )


def test_pages_of_other_origins_may_call_it(client: httpx.Client, photo: bytes) -> None:
    """As they may call rembg's own server."""
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    for answer in (client.options(URL, headers=asked), post(client, photo), client.get(URL)):
        assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    "path", ["/missing", "/slow", "/hop", "/to?http://127.0.0.1:1/", "/to?ftp://127.0.0.1/"]
)
def test_faults_of_a_url_are_400(client: httpx.Client, photo_host: str, path: str) -> None:
    response = client.get(URL, params={"url": f"{photo_host}{path}"})
    assert response.status_code == 400
    assert isinstance(response.json()["detail"], str)


def test_urls_are_refused_unless_switched_on(settings: Settings, photo_host: str) -> None:
    off = settings.model_copy(update={"remote": Settings().remote})
    with serving(off) as url:
        response = httpx.get(f"{url}{URL}?url={photo_host}/photo.png", trust_env=False)
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("data", "status"), [(b"", 400), (b"\x89PNG\r\n\x1a\nxx", 400), (b"text", 415)]
)
def test_an_undecodable_image_is_a_4xx(client: httpx.Client, data: bytes, status: int) -> None:
    response = post(client, data)
    assert response.status_code == status
    assert isinstance(response.json()["detail"], str)


def test_unknown_paths_and_methods(client: httpx.Client) -> None:
    assert client.get("/api/nothing").json() == {"detail": "Not Found"}
    response = client.put(URL)
    assert (response.status_code, response.json()) == (405, {"detail": "Method Not Allowed"})
