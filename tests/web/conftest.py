"""A real browser on the real service, over a socket of loopback."""

import asyncio
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest

from serve_app.api.service import LocalMatting, Matting
from serve_app.engines.base import Engine, EngineInfo
from serve_app.engines.fake import FakeEngine
from serve_app.errors import Overloaded
from serve_app.options import Options
from serve_app.settings import Settings, parse_settings, resolve_path
from serve_app.types import Result, Upload
from tests.api.conftest import serving

MAX_BYTES = 400_000  # small, so that a file over the limit is made quickly
TIMEOUT_MS = 20_000
FLAGS = (
    "--no-sandbox",  # a container has no user namespace for it
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class GatedMatting:
    """The real pipeline, which a test may hold back or have say that it is busy."""

    inner: Matting
    gate: threading.Event = field(default_factory=threading.Event)
    busy: int = 0  # so many requests are sent away
    asked: list[Options] = field(default_factory=list)

    async def matte(self, upload: Upload, options: Options) -> Result:
        self.asked.append(options)
        if self.busy:
            self.busy -= 1
            raise Overloaded("the queue is full: try again in 1 s", retry_after=1)
        while not self.gate.is_set():  # noqa: ASYNC110 (a test opens it from another thread)
            await asyncio.sleep(0.01)
        return await self.inner.matte(upload, options)

    async def describe(self) -> EngineInfo:
        return await self.inner.describe()


@dataclass(frozen=True)
class Service:
    url: str
    matting: GatedMatting


def _missing(what: str) -> NoReturn:
    """Skip where a tool is not installed; in CI that is a failure."""
    reason = f"{what}, so the web page is not tested here"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _engine(settings: Settings) -> Engine:
    path = resolve_path(settings.model.model_path)
    if not path.exists():
        return FakeEngine()
    from serve_app.engines.torch import TorchEngine

    return TorchEngine(path, device="cpu")


@pytest.fixture(scope="package")
def running() -> Iterator[Service]:
    settings = parse_settings({"limits": {"max_bytes": MAX_BYTES}}, {})
    matting = GatedMatting(LocalMatting(_engine(settings), settings))
    with serving(settings, matting) as url:
        yield Service(url, matting)


@pytest.fixture
def service(running: Service) -> Iterator[Service]:
    """The service, open and idle."""
    running.matting.gate.set()
    running.matting.busy = 0
    running.matting.asked.clear()
    yield running
    running.matting.gate.set()
    running.matting.busy = 0


# For this folder alone: while it lives, asyncio.run() refuses to work in this thread.
@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    try:
        from playwright import sync_api as playwright
    except ImportError:
        _missing("playwright is not installed (pip install -e .[dev])")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        _missing(f"none of {', '.join(names)} is installed")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chromium
        chromium.close()


WATCH_POLICY = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) =>
  violations.push(`${event.violatedDirective}: ${event.blockedURI}`));
"""


@dataclass
class Watch:
    """What goes wrong behind a page's back.

    An error in the console, one thrown, a request to any other host, a breach of the policy.
    Chromium itself writes an error for each answer of 400 and more, which is not one here.
    """

    allowed: list[str]
    wrong: list[str] = field(default_factory=list)

    def follow(self, page: Any) -> None:
        page.add_init_script(WATCH_POLICY)
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.wrong.append(f"thrown: {error}"))
        page.on("request", self._note_request)

    def _note_console(self, message: Any) -> None:
        told = f"{message.type}: {message.text}"
        if message.type in ("error", "warning") and "Failed to load resource" not in told:
            self.wrong.append(told)

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith(tuple(self.allowed)):
            self.wrong.append(f"request to {request.url}")


def _context(browser: Any, width: int = 1280, **options: Any) -> Any:
    viewport = {"width": width, "height": 800}
    context = browser.new_context(viewport=viewport, reduced_motion="reduce", **options)
    context.set_default_timeout(TIMEOUT_MS)
    return context


@pytest.fixture(scope="package")
def profile(browser: Any) -> Iterator[Any]:
    """One profile for every test that wants nothing special: it has the page's files already."""
    context = _context(browser, locale="en-US")
    yield context
    context.close()


@pytest.fixture
def open_page(browser: Any, profile: Any, service: Service) -> Iterator[Callable[..., Any]]:
    """Open the page, in a fresh profile where options are given; afterwards all must be well."""
    watch = Watch([service.url, "blob:", "data:"])
    pages, contexts = [], []

    def open_(path: str = "/", url: str = service.url, **options: Any) -> Any:
        watch.allowed.append(url)
        context = profile
        if options:
            context = _context(browser, **{"locale": "en-US", **options})
            contexts.append(context)
        page = context.new_page()
        pages.append(page)
        watch.follow(page)
        page.goto(url + path)
        page.wait_for_selector("#presets input", state="attached")
        return page

    yield open_
    for page in pages:
        watch.wrong += [f"policy: {breach}" for breach in page.evaluate("window.violations")]
        page.evaluate("localStorage.clear()")
        page.close()
    for context in contexts:
        context.close()
    assert watch.wrong == []


@pytest.fixture
def page(open_page: Callable[..., Any]) -> Any:
    return open_page()


@pytest.fixture
def photo(tmp_path: Path, make_photo: Callable[..., bytes]) -> Path:
    """One small JPEG on disk."""
    path = tmp_path / "cat.jpg"
    path.write_bytes(make_photo(240, 320, "JPEG", quality=92))
    return path
