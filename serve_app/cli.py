"""`cvunet`: mattes files, scores mattes, exports the network, says what is here, serves."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from serve_app import __version__
from serve_app.commands import bulk, evaluate, export, info, matte, serve
from serve_app.errors import MattingError

EXIT_FAILED, EXIT_USAGE = 1, 2
EXIT_INTERRUPTED, EXIT_UNREAD = (128 + s for s in (signal.SIGINT, signal.SIGPIPE))  # as shells do


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; an error is one line on stderr and exit status 2."""
    parser = argparse.ArgumentParser(
        prog="cvunet", description="Background removal and image matting, self-hosted."
    )
    parser.add_argument("--version", action="version", version=f"cvunet-serve {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (matte, bulk, evaluate, export, info, serve):
        command.add_parser(commands)
    arguments = parser.parse_args(argv)
    try:
        status = int(arguments.run(arguments))
        if sys.stdout is not None:  # closed, as by `>&-`
            sys.stdout.flush()  # now, while a fault can still be told
        return status
    except MattingError as exc:
        print(f"cvunet: {exc.detail}", file=sys.stderr)
    except BrokenPipeError:  # whoever reads our output has seen enough, as `head`
        _discard_output()
        return EXIT_UNREAD
    except OSError as exc:
        where = f"{exc.filename}: " if exc.filename else ""
        print(f"cvunet: {where}{exc.strerror or exc}", file=sys.stderr)
    except KeyboardInterrupt:
        print("cvunet: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    return EXIT_USAGE


def _discard_output() -> None:
    """Python flushes what is left when it ends, and would complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
