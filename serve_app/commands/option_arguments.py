"""Arguments that `matte` and `bulk` share: the options of an image, as in the HTTP API."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serve_app.options import DEFAULT_PRESET, Options, resolve_options


def add_option_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add them; gives their group, for what one command has beside them."""
    options = parser.add_argument_group("options", "as in the HTTP API; one given wins over preset")
    options.add_argument("--preset", help=f"named set of the options below ({DEFAULT_PRESET})")
    for name, field in Options.model_fields.items():
        options.add_argument(
            f"--{name.replace('_', '-')}", dest=name, help=_help(field.description)
        )
    options.add_argument("--background-image", type=Path, metavar="FILE", help="goes behind")
    return options


def given_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the command line says, None where it says nothing."""
    return {name: getattr(arguments, name) for name in ("preset", *Options.model_fields)}


def settle_options(
    given: Mapping[str, Any], arguments: argparse.Namespace, presets: dict[str, dict[str, Any]]
) -> Options:
    """Decide every option.

    Raises:
        InvalidOption: unknown name, value out of range, or options that contradict each other.
    """
    has_image = arguments.background_image is not None
    return resolve_options(given, presets, has_background_image=has_image)


def _help(text: str | None) -> str:
    return (text or "").replace("%", "%%")  # argparse formats its help texts
