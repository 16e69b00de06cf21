"""`cvunet bulk SRC DST`: many images, on all cores, GPUs and nodes; goes on where it was ended."""

import argparse
import os
import signal
import threading
from collections.abc import Mapping
from typing import Any

from serve_app.bulk.layout import LAYOUTS
from serve_app.bulk.progress import open_progress
from serve_app.bulk.run import Request, run_bulk
from serve_app.commands.model_arguments import add_model_arguments, read_settings
from serve_app.commands.opening import check_opening
from serve_app.commands.option_arguments import (
    add_option_arguments,
    given_options,
    settle_options,
)
from serve_app.engines import check_anywhere
from serve_app.errors import InputError
from serve_app.options import Options, load_presets
from serve_app.settings import ModelSettings, resolve_path

_MAX_POLL_S = 86_400.0


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "bulk",
        help="cut the subject out of many images, resumable, on one machine or a cluster",
        description="Cut the subject out of every image of a folder, a glob, a store or a "
        "manifest. Run it again to go on after it was ended. Exit status: 0 all done, 1 some "
        "failed or were left, 2 nothing could be done.",
    )
    parser.add_argument(
        "source",
        metavar="SRC",
        help="folder, glob, image, or a CSV or Parquet manifest with a column uri; a path, or a "
        "URI such as s3://bucket/photos",
    )
    parser.add_argument("target", metavar="DST", help="folder to fill; a path or a URI")
    parser.add_argument(
        "--restart", action="store_true", help="forget what was done, and do all of it again"
    )
    parser.add_argument(
        "--watch", action="store_true", help="go on with what comes into SRC, until a signal"
    )
    parser.add_argument(
        "--poll", type=float, default=2.0, metavar="S", help="between two looks of --watch (2)"
    )
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        default="auto",
        help="fused: one actor for each core does everything; staged: readers, network and "
        "writers in actors of their own; auto: staged where there is a GPU",
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="actors, staged of each kind (one for each core)"
    )
    add_option_arguments(parser)
    add_model_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked for; SIGTERM ends it as Ctrl+C does."""
    if arguments.workers is not None and arguments.workers < 1:
        raise InputError(f"--workers {arguments.workers}: it must be 1 or more")
    if not 0 < arguments.poll <= _MAX_POLL_S:
        raise InputError(
            f"--poll {arguments.poll}: it must be more than 0 and at most {_MAX_POLL_S:g} seconds"
        )
    request = _request(arguments)
    before = _interrupted_by_sigterm()
    progress = open_progress()
    try:
        return run_bulk(request, progress)
    finally:
        progress.close()
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _request(arguments: argparse.Namespace) -> Request:
    settings = read_settings(arguments)
    presets = load_presets(resolve_path(settings.presets_path))
    given = given_options(arguments)
    background = arguments.background_image and arguments.background_image.read_bytes()

    def settle(own: Mapping[str, str]) -> Options:
        return settle_options({**given, **own}, arguments, presets)

    return Request(
        source=arguments.source,
        target=arguments.target,
        settings=settings,
        options=settle({}),
        background=background,
        settle=settle,
        check_engine=lambda: _check_engine(settings.model),
        layout=arguments.layout,
        workers=arguments.workers,
        restart=arguments.restart,
        watch=arguments.watch,
        poll_s=arguments.poll,
    )


def _check_engine(settings: ModelSettings) -> None:
    if settings.engine == "fake":
        return
    if os.environ.get("RAY_ADDRESS"):  # the workers may run where there is another device
        check_anywhere(settings)
    else:
        check_opening(settings, {})


def _interrupted_by_sigterm() -> Any:
    """Gives what was done on SIGTERM before; None in a thread, which gets no signals."""
    if threading.current_thread() is not threading.main_thread():
        return None

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    return signal.signal(signal.SIGTERM, interrupt)
