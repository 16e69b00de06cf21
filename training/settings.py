"""Everything a training run can be told, read from one YAML file; an unknown key is refused."""

from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from serve_app.errors import SettingsError
from serve_app.models.unet import STRIDE, UNetConfig

Share = Annotated[float, Field(ge=0, le=1)]
Side = Annotated[int, Field(ge=STRIDE, multiple_of=STRIDE)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Strict):
    """One folder of the training data and how far its alphas can be trusted."""

    weight: float = Field(0, ge=0)  # share of the photos drawn, against the other sources
    band: int = Field(0, ge=0)  # px either side of a mask's edge where it may be wrong
    three_valued: bool = False  # a mask of 0, 128 and 255, where 128 says "don't know"
    soft: bool = False  # the alpha is a true matte: hair and fur are learned from it
    solve: int = Field(0, ge=0)  # px either side of a mask's edge, where a soft alpha is solved
    cutout: float = Field(0, ge=0)  # share of the subjects pasted elsewhere; 0 if not clean enough

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.solve and (self.soft or self.three_valued):
            raise ValueError(
                f"solve: {self.solve} is for binary masks: leave out either it or `soft` and "
                "`three_valued`"
            )
        return self


class Grown(_Strict):
    """Cutouts with true soft alphas, drawn on those with hard ones (`training.grown`)."""

    count: int = Field(0, ge=0)
    cutout: float = Field(0, ge=0)  # share of the subjects pasted elsewhere, as a source's


class Canvas(_Strict):
    """The size of a batch: (height, width) in pixels, how many of them, how often."""

    size: tuple[Side, Side]
    batch: int = Field(ge=2)
    weight: float = Field(1.0, gt=0)


class Stage(_Strict):
    """The canvases used until this share of the run is over."""

    until: Share
    canvases: tuple[Canvas, ...] = Field(min_length=1)


class Losses(_Strict):
    """The weight of each term."""

    l1: float = 1.0
    cross_entropy: float = 0.5
    laplacian: float = 0.5
    gradient: float = 0.5
    segmentation: float = 1.0
    band: float = 0.0  # L1 where a given trimap says nothing: there the work is


class Settings(_Strict):
    """A whole run."""

    seed: int = 0
    minutes: float | None = Field(None, gt=0)  # wall time; the schedule is fitted to it
    steps: int | None = Field(None, gt=0)  # or a number of steps
    encoder: Literal["lite0", "lite1", "lite2"] = "lite0"  # EfficientNet-Lite's size
    context_side: int = Field(UNetConfig().context_side, ge=STRIDE)  # px, of the network
    frozen_blocks: int = Field(0, ge=0)  # of the encoder, its stem included: stay as published
    frozen_depthwise: bool = False  # so do its depthwise filters: half of a CPU's time goes there
    bfloat16: bool = False  # on a CPU, where it has instructions for it; on a GPU always
    encoder_rate: Share = 0.2  # of the learning rate, for the rest of the encoder
    encoder_pull: float = Field(0, ge=0)  # of it back to where it began, as a decay
    threads: int | None = Field(None, gt=0)  # CPU threads; None leaves it to torch
    learning_rate: float = Field(0.002, gt=0)
    warmup: Share = 0.03
    weight_decay: float = Field(0.02, ge=0)
    gradient_norm: float = Field(2.0, gt=0)
    ema: float = Field(0.998, gt=0, lt=1)
    longest_side: int = Field(768, ge=64)  # px; photos are kept in memory no larger than this
    composites: Share = 0.3  # of a batch
    mosaics: Share = 0.0  # of the photos are four in one: small subjects, and more than one
    empty: Share = 0.06  # of the composites have no subject
    pairs: Share = 0.15  # of the composites have two subjects
    trimaps: Share = 0.15  # of a batch comes with a trimap
    max_enlargement: float = Field(1.6, ge=1)  # a photo is never magnified by more than this
    validate_minutes: float = Field(8.0, gt=0)
    validate_images: int = Field(120, gt=0)  # of the validation set, on the way; all at the end
    losses: Losses = Losses()
    sources: dict[str, Source] = Field(min_length=1)
    grown: Grown = Grown()
    backgrounds: str = "backgrounds"
    stages: tuple[Stage, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.minutes is None) == (self.steps is None):
            raise ValueError("set one of minutes and steps, not both and not neither")
        ends = [stage.until for stage in self.stages]
        if ends != sorted(ends) or ends[-1] != 1:
            raise ValueError(f"stages: 'until' has to rise to 1, not {ends}")
        return self


def load_settings(path: Path) -> Settings:
    """Read a YAML file.

    Raises:
        SettingsError: no such file, not YAML, an unknown key or a value out of range.
    """
    try:
        return Settings.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, yaml.YAMLError) as exc:
        raise SettingsError(f"training settings '{path}' cannot be read: {exc}") from exc
    except ValidationError as exc:
        # An unknown key first: what it was meant to be may be all that is missing.
        first = min(exc.errors(), key=lambda error: error["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"]) or "settings"
        raise SettingsError(f"training settings '{path}': {key}: {first['msg']}") from exc
