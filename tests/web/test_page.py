"""What the server sends for the page: a policy, files that may be kept, nothing of others."""

import re
from pathlib import Path

import httpx
import pytest

from serve_app.api.page import CONTENT_SECURITY_POLICY, WEB
from tests.web.conftest import Service

KB = 1024


@pytest.fixture
def html(service: Service) -> str:
    return httpx.get(service.url).text


def test_the_page_has_a_strict_policy(service: Service) -> None:
    headers = httpx.get(service.url).headers
    assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert "camera=()" in headers["permissions-policy"]
    assert headers["cache-control"] == "no-cache"


def test_nothing_is_inline_and_nothing_is_elsewhere(html: str) -> None:
    assert not re.search(r"<script(?![^>]*\bsrc=)", html)
    assert not re.search(r"<style|\sstyle=|\son\w+=", html)
    for path in [*WEB.rglob("*.js"), *WEB.rglob("*.css"), *WEB.rglob("*.html")]:
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://[a-z]", text), path.name


def test_every_file_is_there_and_may_be_kept(service: Service, html: str) -> None:
    links = re.findall(r'(?:src|href)="([^"#]+)"', html)
    assert len(links) > 40
    client = httpx.Client(base_url=service.url)
    for link in set(links):
        response = client.get(link)
        assert response.status_code == 200, link
        assert "immutable" in response.headers["cache-control"]
        assert response.headers["etag"]
    client.close()


def test_every_module_is_announced(html: str) -> None:
    announced = re.findall(r'rel="modulepreload" href="[^"]*/([\w-]+\.js)"', html)
    assert sorted(announced) == sorted(path.name for path in (WEB / "static/js").iterdir())


def test_a_path_out_of_the_folder_leads_nowhere(service: Service, html: str) -> None:
    folder = re.search(r"static/[0-9a-f]+", html)[0]  # type: ignore[index]
    for way in ("../index.html", "%2e%2e/index.html", "..%2findex.html", "js/../../../api/page.py"):
        with httpx.Client(base_url=service.url) as client:
            # httpx would tidy a path given as a string.
            request = client.build_request("GET", "/")
            request.url = request.url.copy_with(raw_path=f"/{folder}/{way}".encode())
            assert client.send(request).status_code == 404, way


def test_it_is_small(service: Service, html: str) -> None:
    links = {link for link in re.findall(r'(?:src|href)="([^"#]+)"', html) if ".svg" not in link}
    sent = 0
    with httpx.Client(base_url=service.url) as client:
        for link in [*links, ""]:
            with client.stream("GET", f"/{link}") as response:
                sent += sum(map(len, response.iter_raw()))
    assert sent < 100 * KB  # as it travels; 150 KB is the most it may be


def test_a_module_is_about_one_thing() -> None:
    long = {
        path.name: count
        for path in (WEB / "static/js").iterdir()
        if (count := len(path.read_text("utf-8").splitlines())) > 200 and path != strings()
    }
    assert long == {}


def strings() -> Path:
    return WEB / "static/js/strings.js"


def test_every_word_stands_in_both_languages() -> None:
    english, chinese = strings().read_text("utf-8").split("const zh =")
    entry = re.compile(r'^  "([\w.-]+)": "(.*)",$', re.MULTILINE)
    en, zh = dict(entry.findall(english)), dict(entry.findall(chinese))
    # English has a form for one; Chinese writes both alike.
    assert {key for key in en if not key.endswith(".one")} == set(zh)
    for key, text in zh.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", en[key])), key


def test_every_word_asked_for_is_there() -> None:
    known = set(re.findall(r'^  "([\w.-]+)":', strings().read_text("utf-8"), re.MULTILINE))
    asked = set(re.findall(r'data-t(?:-label)?="([\w.-]+)"', (WEB / "index.html").read_text()))
    for path in (WEB / "static/js").glob("*.js"):
        asked |= set(re.findall(r'\bt\("([\w.-]+)"', path.read_text("utf-8")))
        counted = re.findall(r'\btCount\("([\w.-]+)"', path.read_text("utf-8"))
        asked |= {f"{key}.other" for key in counted}
    assert asked - known == set()
