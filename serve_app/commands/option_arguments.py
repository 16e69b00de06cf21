"""Arguments that `matte` and `bulk` share: the options of an image, as in the HTTP API."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from serve_app.options import DEFAULT_PRESET, Options, resolve_options

_OWN_HELP = {  # no client says here what it accepts
    "format": "file format; auto is that of OUT's suffix, else png; zip holds color.jpg and "
    "alpha.png; jpeg has no transparency and is put on white"
}


def add_option_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add them; gives their group, for what one command has beside them."""
    options = parser.add_argument_group("options", "as in the HTTP API; one given wins over preset")
    presets = f"named set of the options below, of configs/presets.yaml ({DEFAULT_PRESET})"
    options.add_argument("--preset", help=presets)
    for name, field in Options.model_fields.items():
        options.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            metavar=_values(field) or name.upper(),
            help=_help(_OWN_HELP.get(name, field.description)),
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


def _values(field: FieldInfo) -> str:
    """What may be given, where it is words or a range; empty where the help says it."""
    if get_origin(field.annotation) is Literal:
        return "|".join(get_args(field.annotation))
    if field.annotation is bool:
        return "true|false"
    bounds = [str(m.ge) for m in field.metadata if hasattr(m, "ge")]
    bounds += [str(m.le) for m in field.metadata if hasattr(m, "le")]
    return "-".join(bounds)


def _help(text: str | None) -> str:
    return (text or "").replace("%", "%%")  # argparse formats its help texts
