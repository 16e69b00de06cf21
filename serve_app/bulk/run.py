"""The way of a run, top to bottom: inputs -> plan -> Ray Data -> journal -> report."""

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

from serve_app.bulk.cluster import Resources, ray_cluster
from serve_app.bulk.dataset import run_tasks
from serve_app.bulk.inputs import Input, is_manifest, read_inputs
from serve_app.bulk.journal import Journal
from serve_app.bulk.layout import Pools, lay_out
from serve_app.bulk.ledger import Ledger, own_folders
from serve_app.bulk.places import Folder, absolute, local_path, open_folder, without_secrets
from serve_app.bulk.plan import Plan, Task, check_empty, make_plan, wanted_names
from serve_app.bulk.progress import Progress
from serve_app.bulk.report import Totals, report_values, write_report
from serve_app.bulk.watch import Settled
from serve_app.bulk.work import Job, Outcome
from serve_app.errors import InputError, InternalError, MissingImage
from serve_app.manifest import Settle
from serve_app.models.integrity import check_file
from serve_app.names import escaped
from serve_app.options import Options
from serve_app.settings import Settings, resolve_path

_ROUND = 50_000  # images that one Ray Data run takes: its list is held in memory


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    source: str
    target: str
    settings: Settings
    options: Options
    background: bytes | None
    settle: Settle  # makes the options of a manifest's row
    check_engine: Callable[[], None]  # raises EngineError where the network's does not open
    layout: str
    workers: int | None
    restart: bool
    watch: bool
    poll_s: float


def run_bulk(request: Request, progress: Progress) -> int:
    """Do it; gives the exit status: 0 all done, 1 some failed, 2 nothing could be done.

    Raises:
        MattingError: SRC or DST cannot be used, or DST has another job.
    """
    if request.watch and is_manifest(request.source):
        raise InputError("--watch looks into a folder or a glob: SRC is a manifest")
    if request.settings.model.engine != "fake":
        check_file(resolve_path(request.settings.model.model_path))
    inputs = _first_inputs(request)
    folder = open_folder(request.target)
    with closing(_open_ledger(folder)) as ledger:
        _begin(request, inputs, ledger, folder)
        own_folders(folder)
        return _Run(request, ledger, folder, progress).work(inputs)


def _first_inputs(request: Request) -> list[Input]:
    inputs = read_inputs(request.source, request.target, request.settle)
    if not inputs and not request.watch:
        raise MissingImage(f"no images in SRC '{without_secrets(request.source)}'")
    return inputs


def _open_ledger(folder: Folder) -> Ledger:
    try:
        return Ledger(folder)
    except OSError as exc:
        raise _unusable(exc) from exc


def _begin(request: Request, inputs: Sequence[Input], ledger: Ledger, folder: Folder) -> None:
    names = wanted_names(inputs, request.options.format)
    if ledger.is_new or request.restart:  # before DST is bound to an engine that does not open
        request.check_engine()
    try:
        if request.restart:
            ledger.restart(names)
        if ledger.is_new:
            check_empty(names, ledger, folder)
        ledger.begin(wish_of(request))
    except OSError as exc:
        raise _unusable(exc) from exc


def _unusable(exc: OSError) -> InputError:
    return InputError(f"DST '{exc.filename or ''}' cannot be used: {exc.strerror or exc}")


def wish_of(request: Request) -> dict[str, Any]:
    """What a run that goes on must ask for again: all that decides what an output looks like."""
    path = local_path(request.source)
    model = request.settings.model.model_dump(mode="json", exclude={"threads", "cache_path"})
    file = resolve_path(request.settings.model.model_path)
    if request.settings.model.engine != "fake" and file.is_file():
        model["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    background = request.background
    return {
        "source": escaped(str(path) if path else without_secrets(request.source)),
        "options": request.options.model_dump(mode="json"),
        "background_image": hashlib.sha256(background).hexdigest() if background else None,
        "bucket_step": request.settings.batching.bucket_step,
        "model": model,
    }


def _told(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    """The same; what ends Ray's own work, as workers that cannot start, is one line.

    Raises:
        InternalError: no more can be done.
    """
    try:
        yield from outcomes
    except Exception as exc:  # its class is Ray's, or made by Ray of what a worker raised
        lines = str(exc).strip().splitlines() or [type(exc).__name__]  # a traceback, its cause last
        cause = re.sub(r"^serve_app\.errors\.\w+: ", "", lines[-1].strip())
        raise InternalError(
            f"no worker can go on ({cause}): mend that, then run this again"
        ) from exc


class _Run:
    """One run over what is left of a job."""

    def __init__(
        self, request: Request, ledger: Ledger, folder: Folder, progress: Progress
    ) -> None:
        self._request = request
        self._ledger = ledger
        self._folder = folder
        self._progress = progress
        self._journal = Journal(ledger, folder, progress)
        self._job = Job(
            request.settings,
            request.options,
            request.background,
            absolute(request.target),
            secrets.token_hex(8),
        )
        self._how: dict[str, Any] = {"layout": "none", "workers": 0, "nodes": 0}
        self._seconds = 0.0
        self._images = 0
        self._before: list[str] = []  # outputs of earlier runs
        self._given: list[str] = []  # outputs of this one

    def work(self, inputs: Sequence[Input]) -> int:
        state = "complete"
        try:
            if self._request.watch:
                self._watch()
            elif tasks := self._plan(inputs).tasks:
                with ray_cluster(self._request.layout == "staged") as resources:
                    self._do(tasks, self._pools(resources))
        except InternalError:
            self._journal.write()
            raise
        except KeyboardInterrupt:
            state = "watched" if self._request.watch else "interrupted"
        self._end(state)
        return self._status(state)

    def _plan(self, inputs: Sequence[Input]) -> Plan:
        plan = make_plan(inputs, self._request.options.format, self._ledger, self._folder)
        self._images += len(inputs)
        self._before += plan.done_before
        for bad in plan.bad:
            self._journal.refuse(bad)
        self._progress.more(len(plan.tasks))
        if plan.done_before:
            self._progress.say(
                f"{len(plan.done_before)} of {len(inputs)} images were done before, "
                f"{len(plan.tasks)} to do"
            )
        return plan

    def _pools(self, resources: Resources) -> Pools:
        request = self._request
        device = request.settings.model.device
        pools = lay_out(request.layout, resources.cpus, resources.gpus, device, request.workers)
        if resources.nodes > 1 and local_path(request.target):
            self._progress.say(
                f"{resources.nodes} nodes: DST '{request.target}' must be a folder that all share"
            )
        self._how = {
            "layout": pools.layout,
            "workers": pools.workers,
            "nodes": resources.nodes,
        }
        return pools

    def _do(self, tasks: Sequence[Task], pools: Pools) -> None:
        start = time.monotonic()
        try:
            for first in range(0, len(tasks), _ROUND):
                self._round(tasks[first : first + _ROUND], pools)
        finally:
            self._seconds += time.monotonic() - start

    def _round(self, tasks: Sequence[Task], pools: Pools) -> None:
        left = {task.name: task for task in tasks}
        for outcome in _told(run_tasks(tasks, self._job, pools)):
            if left.pop(outcome.name, None):
                self._given += [] if outcome.code else [outcome.name]
                self._journal.take(outcome)
        for task in left.values():
            self._journal.take(
                Outcome(
                    task.name,
                    task.uri,
                    "internal_error",
                    "its worker failed, and Ray's log says why: run this again",
                )
            )

    def _watch(self) -> None:
        """Take what is there, then what comes, until a signal ends it."""
        request = self._request
        settled = Settled()
        with ray_cluster(request.layout == "staged") as resources:
            pools = self._pools(resources)
            self._progress.say(f"watching '{without_secrets(request.source)}'")
            while True:
                fresh = settled.fresh(self._listed())
                if fresh:
                    self._do(self._plan(fresh).tasks, pools)
                    self._journal.write()
                    self._report("watching")
                time.sleep(request.poll_s)

    def _listed(self) -> list[Input]:
        request = self._request
        with suppress(InputError):  # the folder may come back
            return read_inputs(request.source, request.target, request.settle)
        return []

    def _end(self, state: str) -> None:
        self._journal.write()
        self._report(state)
        journal = self._journal
        left = self._images - len(self._before) - journal.done - journal.again - journal.failed
        self._progress.close()
        rest = f", {left} left" if left and state == "interrupted" else ""
        self._progress.say(
            f"{journal.done + journal.again} done, {len(self._before)} done before, "
            f"{journal.failed} failed{rest}"
        )

    def _report(self, state: str) -> None:
        journal = self._journal
        totals = Totals(
            state,
            self._images,
            journal.done + journal.again,
            len(self._before),
            journal.failed,
            journal.bytes_in,
            journal.bytes_out,
            self._seconds,
            journal.per_second,
        )
        values = report_values(wish_of(self._request), self._how, totals, journal.timings)
        try:
            write_report(self._folder, values, [*self._before, *self._given])
        except OSError as exc:  # as of a disk that is full: images failed for it, or were done
            self._progress.say(f"no report: {exc.filename or ''}: {exc.strerror or exc}")

    def _status(self, state: str) -> int:
        done = len(self._given) + len(self._before)
        if self._journal.failed and not done:
            return 2
        return 1 if self._journal.failed or state == "interrupted" else 0
