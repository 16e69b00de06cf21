"""One tree of settings, read once at start and passed down; nothing below reads the environment.

The same tree stands as `args` in `serve_config.yaml`. Unknown keys are refused.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serve_app.errors import SettingsError

ROOT = Path(__file__).resolve().parents[1]
"""The folder that holds `pretrained/` and `configs/`; relative paths in settings start here."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Limits(Section):
    """What an upload may be; judged from its header before anything is decoded."""

    max_bytes: int = Field(25_000_000, ge=1, description="largest body of a request, bytes")
    max_pixels: int = Field(50_000_000, ge=1, description="largest height x width")
    max_edge: int = Field(16_384, ge=1, description="longest side, px")
    max_jpeg_scans: int = Field(64, ge=1, description="scans in a progressive JPEG")
    decode_timeout_s: float = Field(15.0, gt=0, description="time to decode one image, seconds")
    request_timeout_s: float = Field(60.0, gt=0, description="time for one request, seconds")
