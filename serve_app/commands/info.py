"""`cvunet info`: what would run here, and every setting with its meaning."""

import argparse
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from serve_app.commands.model_arguments import add_model_arguments, read_settings
from serve_app.engines import open_engine
from serve_app.settings import resolve_path


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "info",
        help="show the model, the engine, the device and the limits",
        description="Load the model and show what would run; or list every setting.",
    )
    parser.add_argument(
        "--list-settings", action="store_true", help="list every setting, its value and meaning"
    )
    add_model_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    settings = read_settings(arguments)
    if arguments.list_settings:
        for key, value, meaning in setting_rows(settings):
            print(f"{key} = {value}\n    {meaning}")
        return 0
    info = open_engine(settings.model).info
    rows = {
        "model": f"{info.name} {info.version}",
        "file": resolve_path(settings.model.model_path),
        "sha256": info.sha256,
        "engine": f"{info.engine} ({info.reason})",
        "device": info.device,
        "precision": info.precision,
        "limits": ", ".join(f"{k} {v:,}" for k, v in settings.limits.model_dump().items()),
    }
    for key, value in rows.items():
        print(f"{key:10} {value}")
    return 0


def setting_rows(section: BaseModel, prefix: str = "") -> Iterator[tuple[str, object, str]]:
    """Every setting below a section: its dotted key, its value, its meaning."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from setting_rows(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value, field.description or ""
