"""The two clients, and what their calls for single images and batches send."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import httpx

from serve_app.client.flow import Answer, Done, Flow, Pause, Send, Step, T, advance, asked
from serve_app.client.jobs import AsyncJobs, Jobs
from serve_app.client.wire import (
    BatchReport,
    BatchSaver,
    Cutout,
    Image,
    OptionValue,
    ServiceUnreachable,
    batch_form,
    mapped_errors,
    matting_form,
)

Saved: TypeAlias = Callable[[Path], object]


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
        self.jobs = Jobs(self._run, tries)

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
        return self._run(_matte(image, background_image, trimap, options, self._tries))

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
        return self._run(_batch(paths, Path(folder), on_saved, options, self._tries))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, flow: Flow[T], /) -> T:
        answer: Answer = None
        while not isinstance(step := advance(flow, answer), Done):
            answer = self._take(step)
        return step.value

    def _take(self, step: Step) -> Answer:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            with mapped_errors(), self._http.stream(**_sent(step), content=step.content) as answer:
                if step.reader is None or not answer.is_success:
                    answer.read()
                    return answer
                with step.reader(answer) as feed:
                    for piece in answer.iter_bytes():
                        feed(piece)
                return answer
        except ServiceUnreachable as exc:
            return exc


class AsyncClient:
    """The same for asyncio; files are read and written in threads."""

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
        self.jobs = AsyncJobs(self._run, tries)

    async def matte(
        self,
        image: Image,
        *,
        background_image: Image | None = None,
        trimap: Image | None = None,
        **options: OptionValue,
    ) -> Cutout:
        """As `Client.matte`."""
        return await self._run(_matte(image, background_image, trimap, options, self._tries))

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
        return await self._run(_batch(paths, Path(folder), on_saved, options, self._tries))

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, flow: Flow[T], /) -> T:
        answer: Answer = None
        while not isinstance(step := await asyncio.to_thread(advance, flow, answer), Done):
            answer = await self._take(step)
        return step.value

    async def _take(self, step: Step) -> Answer:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        content = None if step.content is None else _in_threads(step.content)
        try:
            with mapped_errors():
                async with self._http.stream(**_sent(step), content=content) as answer:
                    if step.reader is None or not answer.is_success:
                        await answer.aread()
                        return answer
                    with step.reader(answer) as feed:
                        async for piece in answer.aiter_bytes():
                            await asyncio.to_thread(feed, piece)
                    return answer
        except ServiceUnreachable as exc:
            return exc


def _matte(
    image: Image,
    background_image: Image | None,
    trimap: Image | None,
    options: Mapping[str, OptionValue],
    tries: int,
) -> Flow[Cutout]:
    data, files = matting_form(image, background_image, trimap, options)
    request = Send("POST", "/v1/matting", data=data, files=files)
    return Cutout.of((yield from asked(lambda: request, tries)))


def _batch(
    paths: Sequence[Path],
    folder: Path,
    on_saved: Saved | None,
    options: Mapping[str, OptionValue],
    tries: int,
) -> Flow[BatchReport]:
    saver = BatchSaver(folder, on_saved)

    def request() -> Send:
        content_type, body = batch_form(paths, options)
        return Send(
            "POST",
            "/v1/matting/batch",
            {"Content-Type": content_type},
            content=body,
            reader=lambda _: nullcontext(saver.feed),
        )

    yield from asked(request, tries)
    return saver.report()


def _sent(step: Send) -> dict[str, Any]:
    """A request in httpx's words, but for its streamed content."""
    return {
        "method": step.method,
        "url": step.path,
        "headers": step.headers,
        "data": step.data,
        "files": step.files,
    }


def _headers(api_key: str | None) -> dict[str, str]:
    return {} if api_key is None else {"X-API-Key": api_key}


async def _in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece
