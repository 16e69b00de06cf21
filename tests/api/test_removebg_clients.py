"""Published remove.bg clients against our service; nothing of theirs is changed but the address.

PyPI `removebg` comes with the `dev` extra. npm `remove.bg` is installed into `.cache/npm` where
`CI` is set; by hand: `npm install --prefix .cache/npm remove.bg@1.3`.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from serve_app.settings import ROOT, Settings
from tests.api.conftest import serving

KEY = "a key"
NPM = ROOT / ".cache" / "npm"

_RUN = """
const [call, options] = JSON.parse(process.argv[3]);
require(process.argv[2])[call](options).then(
  result => console.log(JSON.stringify({result})),
  errors => console.log(JSON.stringify({errors})));
"""


@pytest.fixture(scope="module")
def guarded(settings: Settings) -> Iterator[str]:
    """A service with one key and a limit, since these clients read both."""
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    access = settings.access.model_copy(
        update={"key_hashes": [digest], "requests_per_minute": 1000}
    )
    with serving(settings.model_copy(update={"access": access})) as url:
        yield url


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")


@pytest.fixture
def photo_file(photo: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(photo)
    return path


def _missing(what: str) -> None:
    """A client that is not here is a reason to skip, but not in CI."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


class TestPython:
    """PyPI `removebg` 0.4."""

    @pytest.fixture
    def client(self, guarded: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
        try:
            from removebg import removebg
        except ImportError:
            _missing("removebg is not installed: pip install -e '.[dev]'")
        monkeypatch.setattr(removebg, "API_ENDPOINT", f"{guarded}/v1.0/removebg")
        return removebg.RemoveBg(KEY, str(tmp_path / "error.log"))

    @pytest.mark.parametrize(
        ("size", "bg_color", "kind"),
        [("regular", None, "PNG"), ("hd", "81d4fa", "JPEG"), ("4k", "", "PNG")],
    )
    def test_file(
        self, client: Any, photo_file: Path, size: str, bg_color: str | None, kind: str
    ) -> None:
        client.remove_background_from_img_file(str(photo_file), size=size, bg_color=bg_color)
        with Image.open(f"{photo_file}_no_bg.png") as image:
            assert (image.format, image.size) == (kind, (160, 90))
            if bg_color:
                red, green, blue = image.getpixel((0, 0))
                assert abs(red - 0x81) + abs(green - 0xD4) + abs(blue - 0xFA) < 6

    def test_base64(self, client: Any, photo: bytes, tmp_path: Path) -> None:
        out = tmp_path / "out.png"
        client.remove_background_from_base64_img(
            base64.b64encode(photo).decode(), new_file_name=str(out)
        )
        with Image.open(out) as image:
            assert image.mode == "RGBA"

    def test_url(self, client: Any, photo_host: str, tmp_path: Path) -> None:
        out = tmp_path / "out.png"
        client.remove_background_from_img_url(
            f"{photo_host}/photo.png", new_file_name=str(out), bg_color="red"
        )
        with Image.open(out) as image:
            assert image.format == "JPEG"

    def test_errors(self, client: Any, photo_host: str, guarded: str) -> None:
        import requests

        for url, code in (
            (f"{photo_host}/missing", "failed_image_download"),
            ("http://127.0.0.1/", "invalid_image_url"),
        ):
            with pytest.raises(requests.HTTPError) as caught:
                client.remove_background_from_img_url(url)
            assert caught.value.response.json()["errors"][0]["code"] == code
        with pytest.raises(requests.HTTPError) as caught:
            type(client)("wrong key", "").remove_background_from_base64_img("x")
        assert caught.value.response.status_code == 403


@pytest.fixture(scope="module")
def npm() -> Path:
    """The folder of installed npm packages, with `remove.bg` 1.3 in it."""
    if not shutil.which("node") or not shutil.which("npm"):
        _missing("node and npm are not installed: apt-get install nodejs npm")
    if not (NPM / "node_modules" / "remove.bg").is_dir():
        if not os.environ.get("CI"):
            _missing("npm install --prefix .cache/npm remove.bg@1.3")
        NPM.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--silent", "--prefix", str(NPM), "remove.bg@1.3"]
        subprocess.run(install, check=True, timeout=180)
    return NPM / "node_modules"


class TestNode:
    """npm `remove.bg` 1.3; its address is a constant, replaced in a copy."""

    @pytest.fixture
    def copy(self, npm: Path, guarded: str, tmp_path: Path) -> tuple[Path, Path]:
        source = (npm / "remove.bg" / "dist" / "index.js").read_text("utf-8")
        ours = source.replace("https://api.remove.bg/", f"{guarded}/")
        assert ours != source
        script, module = tmp_path / "run.js", tmp_path / "client.js"
        script.write_text(_RUN)
        module.write_text(ours)
        return script, module

    def call(self, copy: tuple[Path, Path], name: str, **options: object) -> dict[str, Any]:
        arguments = json.dumps([name, {"apiKey": KEY, **options}])
        done = subprocess.run(
            ["node", "--no-deprecation", *map(str, copy), arguments],
            env={**os.environ, "NODE_PATH": str(NPM / "node_modules")},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    @pytest.mark.parametrize(
        ("name", "source"),
        [
            ("removeBackgroundFromImageFile", "path"),
            ("removeBackgroundFromImageBase64", "base64img"),
            ("removeBackgroundFromImageUrl", "url"),
        ],
    )
    def test_every_source(
        self,
        copy: tuple[Path, Path],
        name: str,
        source: str,
        photo: bytes,
        photo_file: Path,
        photo_host: str,
        tmp_path: Path,
    ) -> None:
        values = {
            "path": str(photo_file),
            "base64img": base64.b64encode(photo).decode(),
            "url": f"{photo_host}/photo.png",
        }
        out = tmp_path / "out.png"
        options = {source: values[source], "outputFile": str(out)}
        result = self.call(copy, name, **options)["result"]
        assert base64.b64decode(result.pop("base64img")) == out.read_bytes()
        assert int(result.pop("rateLimitRemaining")) < 1000
        assert int(result.pop("rateLimitReset")) > 1_700_000_000
        assert result == {
            "creditsCharged": "0",
            "detectedType": "other",
            "resultWidth": "160",
            "resultHeight": "90",
            "rateLimit": "1000",
        }

    def test_every_option(self, copy: tuple[Path, Path], photo_file: Path, tmp_path: Path) -> None:
        out = tmp_path / "out.png"
        result = self.call(
            copy,
            "removeBackgroundFromImageFile",
            path=str(photo_file),
            outputFile=str(out),
            size="hd",
            type="product",
            scale="50%",
            position="center",
            crop=True,
            crop_margin="10px",
            roi="0% 0% 100% 100%",
            bg_color="0000ff",
            channels="rgba",
            add_shadow=True,
        )["result"]
        assert result["detectedType"] == "product"
        with Image.open(out) as image:
            assert image.format == "JPEG"
            assert str(image.width) == result["resultWidth"]

    def test_a_background_from_a_url(
        self, copy: tuple[Path, Path], photo: bytes, photo_host: str
    ) -> None:
        result = self.call(
            copy,
            "removeBackgroundFromImageBase64",
            base64img=base64.b64encode(photo).decode(),
            bg_image_url=f"{photo_host}/photo.png",
        )["result"]
        assert base64.b64decode(result["base64img"]).startswith(b"\xff\xd8\xff")

    def test_errors(self, copy: tuple[Path, Path], photo_file: Path) -> None:
        name = "removeBackgroundFromImageFile"
        (bad,) = self.call(copy, name, path=str(photo_file), size="huge")["errors"]
        assert bad["code"] == "invalid_size"
        (locked,) = self.call(copy, name, path=str(photo_file), apiKey="wrong")["errors"]
        assert locked == {"title": "API Key invalid", "code": "auth_failed"}


def test_the_account_fits_into_keyword_arguments(guarded: str) -> None:
    """As a client does that splats what it is given."""
    response = httpx.get(f"{guarded}/v1.0/account", headers={"X-Api-Key": KEY}, trust_env=False)

    def account(
        credits: dict[str, float],
        api: dict[str, object],
    ) -> None: ...

    account(**response.json()["data"]["attributes"])
