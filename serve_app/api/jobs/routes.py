"""The routes of jobs. Any replica answers for every job: what they tell stands in the storage."""

import asyncio
import time

from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from serve_app.api.access import Access
from serve_app.api.batch_form import Presets
from serve_app.api.jobs.events import Progress, read_progress
from serve_app.api.jobs.intake import Intake
from serve_app.api.jobs.runner import Runner
from serve_app.api.jobs.status import status_json
from serve_app.api.jobs.storage import Job, JobFolder, JobStorage, no_such_job
from serve_app.api.jobs.stream import event_stream, last_event_id
from serve_app.api.jobs.webhook import Webhooks
from serve_app.api.jobs.work import JobWork
from serve_app.api.remote import Remote
from serve_app.api.service import Matting
from serve_app.errors import JobExpired, JobUnfinished, NotFound
from serve_app.settings import Settings, resolve_path

_RETRY_AFTER_S = 2


class JobRoutes:
    """Handlers that share one storage, and the runner of this replica."""

    def __init__(
        self, matting: Matting, settings: Settings, presets: Presets, access: Access, remote: Remote
    ) -> None:
        jobs = settings.jobs
        webhooks = Webhooks(jobs, remote)
        self._access = access
        self._keep_s = jobs.keep_s
        self._storage = JobStorage(resolve_path(jobs.storage), jobs.keep_s)
        self._intake = Intake(self._storage, settings, presets, remote, webhooks)
        work = JobWork(matting, remote, webhooks, settings)
        self.runner = Runner(self._storage, work, jobs.lease_s)

    def routes(self) -> list[Route]:
        one = "/v1/jobs/{id}"
        return [
            Route("/v1/jobs", self.create, methods=["POST"]),
            Route(one, self.one, methods=["GET", "DELETE"]),
            Route(f"{one}/events", self.events, methods=["GET"]),
            Route(f"{one}/result", self.result, methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        """Many images in; the answer says where to ask for them."""
        self._access.admit(request)
        self.runner.start()
        folder, was_there = await self._intake.take(request, self._access.owner(request))
        self.runner.look_now()
        job = await asyncio.to_thread(self._check, folder, self._access.owner(request))
        headers = {"Location": f"{job.prefix}/v1/jobs/{job.id}", "Retry-After": str(_RETRY_AFTER_S)}
        if was_there:
            headers["Idempotency-Replayed"] = "true"
        return await self._status(folder, job, 202, headers)

    async def one(self, request: Request) -> Response:
        """How far a job is; or, with DELETE, no more of it."""
        folder, job = await self._find(request)
        if request.method == "DELETE":
            await asyncio.to_thread(self._storage.delete, folder)
            return Response(status_code=204)
        return await self._status(folder, job, 200, {})

    async def events(self, request: Request) -> Response:
        """What happens, as server-sent events, from where the client left off."""
        folder, _ = await self._find(request)
        after = last_event_id(request)
        progress = await self._progress(folder)
        if progress.finished is not None and after >= progress.last_id:
            return Response(status_code=204)  # tells an EventSource that there is no more
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        if request.method == "HEAD":
            return Response(headers=headers, media_type="text/event-stream")
        request.state.in_flight.leave()  # it may last for hours, and goes on with another service
        return StreamingResponse(
            event_stream(folder, after), headers=headers, media_type="text/event-stream"
        )

    async def result(self, request: Request) -> Response:
        """The ZIP; parts of it for who asks with Range."""
        folder, job = await self._find(request)
        progress = await self._progress(folder)
        if progress.state == "failed":
            raise NotFound("the job failed and has no result: its status says why")
        if progress.state != "done":
            waiting = job.total - len(progress.told)
            raise JobUnfinished(
                f"the job has {waiting} of {job.total} images left to do: ask for the result once "
                "its state is done",
                retry_after=_RETRY_AFTER_S,
            )
        try:
            found = await asyncio.to_thread(folder.result.stat)
        except FileNotFoundError as exc:  # deleted meanwhile
            raise no_such_job(folder.id) from exc
        name = f"matting-{job.id[:8]}.zip"
        return FileResponse(
            folder.result, media_type="application/zip", filename=name, stat_result=found
        )

    async def _find(self, request: Request) -> tuple[JobFolder, Job]:
        owner = self._access.owner(request)
        self.runner.start()
        folder = await asyncio.to_thread(self._storage.find, request.path_params["id"])
        return folder, await asyncio.to_thread(self._check, folder, owner)

    def _check(self, folder: JobFolder, owner: str) -> Job:
        """The job, where it is this caller's and not past its time."""
        try:
            job = folder.job()
            if job.owner != owner:  # no less unknown than one that isn't there
                raise no_such_job(folder.id)
            if not folder.is_expired:
                finished = read_progress(folder.events).finished
                if finished is None or time.time() < finished + self._keep_s:
                    return job
        except FileNotFoundError as exc:
            raise no_such_job(folder.id) from exc
        raise JobExpired(
            f"the job was deleted, or finished over {self._keep_s:g} s ago: send its images again, "
            "with a new Idempotency-Key"
        )

    async def _progress(self, folder: JobFolder) -> Progress:
        try:
            return await asyncio.to_thread(read_progress, folder.events)
        except FileNotFoundError as exc:  # deleted meanwhile
            raise no_such_job(folder.id) from exc

    async def _status(
        self, folder: JobFolder, job: Job, status: int, headers: dict[str, str]
    ) -> Response:
        try:
            body = await asyncio.to_thread(status_json, folder, job, self._keep_s)
        except FileNotFoundError as exc:  # deleted meanwhile
            raise no_such_job(folder.id) from exc
        return Response(body, status, headers, media_type="application/json")
