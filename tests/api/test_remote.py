"""Fetching from URLs: what must be refused is refused before a single connection is made."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from serve_app.api.addresses import is_public
from serve_app.api.remote import Remote
from serve_app.errors import DownloadFailed, DownloadTimeout, FileTooLarge, UrlNotAllowed
from serve_app.settings import RemoteSettings

ON = RemoteSettings(enabled=True, timeout_s=2)


class Canary:
    """A listener on every address of this machine that counts who comes."""

    def __init__(self) -> None:
        self._server = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        self.port = self._server.getsockname()[1]
        self.connections = 0
        self._thread = threading.Thread(target=self._count)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()

    def _count(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()


@pytest.fixture
def canary() -> Iterator[Canary]:
    canary = Canary()
    yield canary
    canary.close()


@pytest.fixture
def redirected(monkeypatch: pytest.MonkeyPatch, canary: Canary) -> Canary:
    """Ports 80 and 443 lead to the canary, so that the check of addresses stands alone."""
    monkeypatch.setattr("serve_app.api.remote._PORTS", {"http": canary.port, "https": canary.port})
    return canary


def fetch(url: str, settings: RemoteSettings = ON, **options: object) -> bytes:
    remote = Remote(settings, max_bytes=1_000_000, **options)  # type: ignore[arg-type]
    return asyncio.run(remote.fetch(url))


HOSTS = [
    "127.0.0.1",
    "127.1",
    "2130706433",  # decimal
    "0x7f000001",  # hexadecimal
    "0x7f.1",
    "0177.0.0.1",  # octal
    "017700000001",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "①②⑦.⓪.⓪.①",  # digits that become ASCII
    "127。0。0。1",  # dots that do
    "0.0.0.0",
    "0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",  # the metadata service of clouds
    "100.64.0.1",  # CGNAT
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.88.99.1",
    "[::1]",
    "[::]",
    "[::127.0.0.1]",  # IPv4-compatible
    "[::ffff:127.0.0.1]",  # IPv4-mapped
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",  # NAT64
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",  # 6to4
    "[2001::7f00:1]",  # Teredo
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fc00::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[2001:db8::1]",
]


@pytest.mark.parametrize("host", HOSTS)
def test_no_address_of_ours_is_ever_connected_to(redirected: Canary, host: str) -> None:
    for scheme in ("http", "https"):
        with pytest.raises((UrlNotAllowed, DownloadFailed)):
            fetch(f"{scheme}://{host}:{redirected.port}/")
        with pytest.raises((UrlNotAllowed, DownloadFailed)):
            fetch(f"{scheme}://{host}/")
    assert redirected.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "",
        "photo.png",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/hostname",
        "gopher://example.com/",
        "data:image/png;base64,AAAA",
        "http://",
        "http:///path",
        "http://user@example.com/",
        "http://user:word@example.com/",
        "http://@example.com/",
        "http://example.com@127.0.0.1/",
        "http://127.0.0.1\\@example.com/",
        "http://example.com\t.test/",
        "http://example.com/a b",
        "http://example.com/\r\nX: y",
        "http://example.com:22/",
        "http://example.com:8080/",
        "https://example.com:80/",
        "http://example.com:0x50/",
        "http://example.com:99999/",
        "http://exa%6dple.com/",
        "http://[::1/",
        "http://" + "a" * 64 + ".com/",
        "http://example.com/" + "a" * 3000,
    ],
)
def test_urls_that_are_refused_by_their_looks(url: str) -> None:
    async def resolve(_: str, __: int) -> list[str]:
        raise AssertionError("it must not even be resolved")

    with pytest.raises(UrlNotAllowed):
        fetch(url, resolve=resolve)


def answering(*answers: list[str]) -> Callable[[str, int], object]:
    """A resolver that answers otherwise each time, as one under attack does."""
    left = list(answers)

    async def resolve(_: str, __: int) -> list[str]:
        return left.pop(0) if left else ["127.0.0.1"]

    return resolve


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::ffff:10.0.0.1"], ["fe80::1%eth0"], ["x"]],
)
def test_a_name_that_leads_inside(redirected: Canary, addresses: list[str]) -> None:
    with pytest.raises(UrlNotAllowed):
        fetch("http://inside.test/", resolve=answering(addresses))
    assert redirected.connections == 0


def test_a_resolver_that_changes_its_mind_changes_nothing(
    redirected: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: list[str] = []

    async def connect(_: object, host: str, *__: object, **___: object) -> None:
        connected.append(host)
        raise OSError("unreachable")

    monkeypatch.setattr("httpcore.AnyIOBackend.connect_tcp", connect)
    with pytest.raises(DownloadFailed):
        fetch("http://rebinding.test/", resolve=answering(["93.184.216.34"], ["127.0.0.1"]))
    assert connected == ["93.184.216.34"]
    assert redirected.connections == 0


def test_names_that_take_long_hold_up_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object, **__: object) -> None:
        time.sleep(2)
        raise socket.gaierror

    async def run() -> float:
        remote = Remote(RemoteSettings(enabled=True, timeout_s=0.5), max_bytes=1)
        fetches = [asyncio.create_task(remote.fetch("http://slow.test/")) for _ in range(40)]
        await asyncio.sleep(0.1)
        start = time.monotonic()
        await asyncio.to_thread(lambda: None)
        took_s = time.monotonic() - start
        errors = await asyncio.gather(*fetches, return_exceptions=True)
        assert {type(error) for error in errors} == {DownloadTimeout}
        return took_s

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    assert asyncio.run(run()) < 1


def allowed(photo_host: str, **settings: object) -> RemoteSettings:
    return RemoteSettings(enabled=True, test_hosts=[photo_host.removeprefix("http://")], **settings)


def test_a_file_is_fetched(photo_host: str, photo: bytes) -> None:
    assert fetch(f"{photo_host}/photo.png", allowed(photo_host)) == photo
    redirect = f"{photo_host}/to?/photo.png"
    assert fetch(redirect, allowed(photo_host)) == photo
    assert fetch(f"{photo_host}/accents", allowed(photo_host)) == photo


def test_proxies_of_the_environment_play_no_part(
    photo_host: str, photo: bytes, canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
    assert fetch(f"{photo_host}/photo.png", allowed(photo_host)) == photo
    assert canary.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433"])
def test_redirects_are_checked_as_the_first_url(photo_host: str, canary: Canary, host: str) -> None:
    for target in (f"http://{host}:{canary.port}/", f"//{host}:{canary.port}/", f"http://{host}/"):
        with pytest.raises(UrlNotAllowed):
            fetch(f"{photo_host}/to?{target}", allowed(photo_host))
    assert canary.connections == 0


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/hop", DownloadFailed),  # for ever
        ("/missing", DownloadFailed),
        ("/slow", DownloadTimeout),
        ("/endless", FileTooLarge),
        ("/to?http://[::1", UrlNotAllowed),
        ("/to?//[x", UrlNotAllowed),
    ],
)
def test_hosts_that_misbehave(photo_host: str, path: str, error: type[Exception]) -> None:
    timeout_s = 0.5 if error is DownloadTimeout else 20
    with pytest.raises(error):
        fetch(f"{photo_host}{path}", allowed(photo_host, timeout_s=timeout_s))


def test_every_refusal_reads_the_same(photo_host: str) -> None:
    urls = ["ftp://a/", "http://127.0.0.1/", "http://u@a/", f"{photo_host}/to?http://10.0.0.1/"]
    texts = set()
    for url in urls:
        with pytest.raises(UrlNotAllowed) as caught:
            fetch(url, allowed(photo_host))
        texts.add(caught.value.detail)
    with pytest.raises(UrlNotAllowed) as caught:
        fetch("http://example.com/", RemoteSettings())
    assert texts == {caught.value.detail}


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("8.8.8.8", True),
        ("2606:4700:4700::1111", True),
        ("127.0.0.1", False),
        ("100.64.0.1", False),
        ("::ffff:8.8.8.8", False),
        ("2002:808:808::1", False),
        ("64:ff9b::808:808", False),
        ("2001:0:808:808::1", False),
        ("not an address", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public
