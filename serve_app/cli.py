"""`cvunet`: mattes files, scores mattes, exports the network, says what is here, serves."""

import argparse
import sys
from collections.abc import Sequence

from serve_app import __version__
from serve_app.commands import bulk, evaluate, export, info, matte, serve
from serve_app.errors import MattingError

EXIT_FAILED, EXIT_USAGE = 1, 2


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
        return int(arguments.run(arguments))
    except MattingError as exc:
        print(f"cvunet: {exc.detail}", file=sys.stderr)
    except OSError as exc:
        print(f"cvunet: {exc.filename or ''}: {exc.strerror or exc}", file=sys.stderr)
    except KeyboardInterrupt:
        print("cvunet: interrupted", file=sys.stderr)
    return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
