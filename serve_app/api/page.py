"""The web page and its static files, served from this package and from nowhere else."""

import hashlib
from pathlib import Path

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

WEB = Path(__file__).resolve().parents[1] / "web"

# `blob:` and `data:` are the user's own pictures; nothing else comes from anywhere but here.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)

_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    # The page names its files by their hash, so it is the one thing that has to be asked for anew.
    "Cache-Control": "no-cache",
}

_A_YEAR = "public, max-age=31536000, immutable"


def page_routes() -> list[BaseRoute]:
    """Routes of the page, and of its files below a folder named by their content.

    A changed file changes the folder's name, so a browser keeps what it has for a year and still
    never mixes two versions.
    """
    static = f"static/{_content_hash(WEB)}"
    html = _page(static)

    async def page(_: Request) -> Response:
        return HTMLResponse(html, headers=_HEADERS)

    files = _StaticFiles(directory=WEB / "static")
    compressed = [Middleware(GZipMiddleware)]
    return [
        Route("/", page, middleware=compressed),
        Mount(f"/{static}", files, name="static", middleware=compressed),
    ]


class _StaticFiles(StaticFiles):
    """Starlette's, whose files never change under their name."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = _A_YEAR
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response


def _page(static: str) -> str:
    """The page's HTML; its links are relative, so that it also works below a prefix."""
    modules = sorted((WEB / "static" / "js").glob("*.js"))
    # Told of every module at once, the browser doesn't find them one import after another.
    preload = "\n".join(
        f'<link rel="modulepreload" href="{static}/js/{module.name}">' for module in modules
    )
    html = (WEB / "index.html").read_text("utf-8")
    return html.replace("{static}", static).replace("<!-- modules -->", preload)


def _content_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
