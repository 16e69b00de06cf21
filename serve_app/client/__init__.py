"""A client of the native API, in two kinds: `Client` and, for asyncio, `AsyncClient`.

    with Client("http://127.0.0.1:8000") as client:
        client.matte("cat.jpg", background="white", format="jpeg").save("cat-on-white.jpg")
        client.batch(Path("photos").glob("*.jpg"), "cutouts", preset="ecommerce")
        job = client.jobs.create(Path("photos").glob("*.jpg"), format="webp")
        client.jobs.wait(job, on_event=print)
        client.jobs.download(job, "cutouts.zip")

Errors are those of `serve_app.errors`, under the code that the service gave. An answer that says
to come back later is asked for again, after the time that it names. Needs httpx and nothing else.
"""

from serve_app.client.calls import AsyncClient, Client
from serve_app.client.events import JobEvent
from serve_app.client.job_calls import JobStatus
from serve_app.client.wire import BatchFile, BatchReport, Cutout, ServiceUnreachable

__all__ = [
    "AsyncClient",
    "BatchFile",
    "BatchReport",
    "Client",
    "Cutout",
    "JobEvent",
    "JobStatus",
    "ServiceUnreachable",
]
