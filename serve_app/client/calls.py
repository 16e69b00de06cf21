"""The calls, sync and async: what they send, and when they ask again."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import httpx

from serve_app.client.wire import (
    BatchReport,
    BatchSaver,
    Cutout,
    Image,
    OptionValue,
    batch_form,
    error_of,
    mapped_errors,
    matting_form,
    retry_delay,
)

Saved: TypeAlias = Callable[[Path], object]

_BATCH = "/v1/matting/batch"


class Client:
    """Calls a service and waits for it."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 120.0,
        tries: int = 5,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._tries = tries
        self._http = httpx.Client(
            base_url=base_url, headers=_headers(api_key), timeout=timeout_s, transport=transport
        )

    def matte(
        self,
        image: Image,
        *,
        background_image: Image | None = None,
        trimap: Image | None = None,
        **options: OptionValue,
    ) -> Cutout:
        """Matte one image: a path, or a file's bytes.

        Raises:
            MattingError: what the service answered, or ServiceUnreachable.
        """
        data, files = matting_form(image, background_image, trimap, options)
        for attempt in range(self._tries):
            with mapped_errors():
                response = self._http.post("/v1/matting", data=data, files=files)
            if response.is_success:
                return Cutout.of(response)
            delay = retry_delay(response, attempt)
            if delay is None or attempt + 1 == self._tries:
                break
            time.sleep(delay)
        raise error_of(response)

    def batch(
        self,
        images: Iterable[Path | str],
        folder: Path | str,
        *,
        on_saved: Saved | None = None,
        **options: OptionValue,
    ) -> BatchReport:
        """Matte many files into `folder`; each result is saved as soon as it is here.

        A file that fails stands in the report and stops nothing.

        Raises:
            MattingError: the batch as a whole was refused.
        """
        paths = [Path(image) for image in images]
        for attempt in range(self._tries):
            content_type, body = batch_form(paths, options)
            head = {"Content-Type": content_type}
            saver = BatchSaver(Path(folder), on_saved)
            with (
                mapped_errors(),
                self._http.stream("POST", _BATCH, content=body, headers=head) as response,
            ):
                if response.is_success:
                    for chunk in response.iter_bytes():
                        saver.feed(chunk)
                    return saver.report()
                response.read()
            delay = retry_delay(response, attempt)
            if delay is None or attempt + 1 == self._tries:
                break
            time.sleep(delay)
        raise error_of(response)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient:
    """The same for asyncio; files are read in threads."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 120.0,
        tries: int = 5,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._tries = tries
        self._http = httpx.AsyncClient(
            base_url=base_url, headers=_headers(api_key), timeout=timeout_s, transport=transport
        )

    async def matte(
        self,
        image: Image,
        *,
        background_image: Image | None = None,
        trimap: Image | None = None,
        **options: OptionValue,
    ) -> Cutout:
        """As `Client.matte`."""
        data, files = await asyncio.to_thread(
            matting_form, image, background_image, trimap, options
        )
        for attempt in range(self._tries):
            with mapped_errors():
                response = await self._http.post("/v1/matting", data=data, files=files)
            if response.is_success:
                return Cutout.of(response)
            delay = retry_delay(response, attempt)
            if delay is None or attempt + 1 == self._tries:
                break
            await asyncio.sleep(delay)
        raise error_of(response)

    async def batch(
        self,
        images: Iterable[Path | str],
        folder: Path | str,
        *,
        on_saved: Saved | None = None,
        **options: OptionValue,
    ) -> BatchReport:
        """As `Client.batch`."""
        paths = [Path(image) for image in images]
        for attempt in range(self._tries):
            content_type, body = batch_form(paths, options)
            head = {"Content-Type": content_type}
            saver = BatchSaver(Path(folder), on_saved)
            with mapped_errors():
                async with self._http.stream(
                    "POST", _BATCH, content=_in_threads(body), headers=head
                ) as response:
                    if response.is_success:
                        async for chunk in response.aiter_bytes():
                            await asyncio.to_thread(saver.feed, chunk)
                        return saver.report()
                    await response.aread()
            delay = retry_delay(response, attempt)
            if delay is None or attempt + 1 == self._tries:
                break
            await asyncio.sleep(delay)
        raise error_of(response)

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _headers(api_key: str | None) -> dict[str, str]:
    return {} if api_key is None else {"X-API-Key": api_key}


async def _in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece
