"""Arguments that several commands share: which settings, which model, on what."""

import argparse
from pathlib import Path

from serve_app.settings import Settings, load_settings, parse_settings


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument("--settings", type=Path, metavar="FILE", help="YAML file of settings")
    group.add_argument("--model", type=Path, metavar="FILE", help="checkpoint to use")
    group.add_argument("--engine", help="auto, openvino, onnx, torch or tensorrt (auto)")
    group.add_argument("--device", help="auto, cpu, cuda or cuda:N (auto)")
    group.add_argument("--precision", help="auto, fp32, fp16 or int8 (auto)")


def read_settings(arguments: argparse.Namespace) -> Settings:
    """The settings file, with what the command line says laid over it.

    Raises:
        SettingsError: either breaks a rule.
    """
    values = load_settings(arguments.settings).model_dump()
    given = {
        "model_path": arguments.model and arguments.model.resolve(),
        "engine": arguments.engine,
        "device": arguments.device,
        "precision": arguments.precision,
    }
    values["model"].update({key: value for key, value in given.items() if value is not None})
    return parse_settings(values, environ={})
