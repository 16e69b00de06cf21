"""What one request may ask for, and the presets that name common sets of it.

Options arrive as text (form fields, query parameters, command line) or as values (YAML, Python).
Both go through `resolve_options`, so every way in accepts and refuses the same.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.config import JsonDict

from serve_app.errors import InvalidOption, SettingsError
from serve_app.imaging.background import COLOR_NAMES, parse_color
from serve_app.imaging.crop import parse_margin
from serve_app.imaging.placement import parse_placement
from serve_app.imaging.roi import WHOLE, parse_roi
from serve_app.types import Size

DEFAULT_PRESET = "bulk"

# What the parsers of `imaging` accept, for the API's description alone.
_LENGTH = r"[0-9]{1,6}(\.[0-9]{1,6})?(px|%)?"
_PERCENT = r"(100(\.0{1,6})?|[0-9]{1,2}(\.[0-9]{1,6})?)%"
_MARGIN: JsonDict = {"pattern": rf"^{_LENGTH}(( +{_LENGTH})?|( +{_LENGTH}){{3}})$"}
_ROI: JsonDict = {"pattern": rf"^{_LENGTH}( +{_LENGTH}){{3}}$"}
_SCALE: JsonDict = {"pattern": r"^(original|(100|[1-9][0-9](\.[0-9]{1,6})?)%)$"}
_POSITION: JsonDict = {"pattern": rf"^(original|center|{_PERCENT}( +{_PERCENT})?)$"}
_BACKGROUND: JsonDict = {
    "anyOf": [
        {"type": "string", "enum": ["transparent", "blur"]},
        {"type": "string", "pattern": "^#([0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})$"},
        {"type": "string", "enum": [*COLOR_NAMES]},
    ]
}

_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def _as_bool(value: object) -> object:
    text = str(value).strip().lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ValueError("true or false")


Bool = Annotated[bool, BeforeValidator(_as_bool)]


class Options(BaseModel):
    """The options of one request, every one decided."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: Literal["cutout", "alpha", "composite", "trimap"] = Field(
        "cutout", description="what comes back; composite where a background is given"
    )
    format: Literal["auto", "png", "webp", "jpeg", "zip"] = Field(
        "auto",
        description="file format; auto follows the Accept header, else png; zip holds color.jpg "
        "and alpha.png; jpeg has no transparency and is put on white",
    )
    quality: int | None = Field(
        None, ge=1, le=100, description="of jpeg (default 90) and webp (default lossless)"
    )
    max_side: int = Field(1024, ge=128, le=4096, description="longest side the network sees, px")
    size: str = Field(
        "original",
        pattern=r"^(original|network|\d+(\.\d+)?mp)$",
        description="size of the answer: original, network, or megapixels such as 4mp",
    )
    alpha_threshold: int = Field(10, ge=0, le=50, description="alpha below it becomes 0")
    erode: int = Field(0, ge=0, le=5, description="shrinks the matte, px")
    feather: int = Field(0, ge=0, le=10, description="softens the edge, px")
    refine: Literal["none", "guided"] = Field(
        "guided", description="edge-aware upsampling of the alpha to the full image"
    )
    decontaminate: Bool = Field(
        True, description="replaces the old background's colour on soft pixels by the subject's"
    )
    background: str = Field(
        "transparent",
        description="transparent, blur, a CSS colour name or #rgb, #rgba, #rrggbb, #rrggbbaa",
        json_schema_extra=_BACKGROUND,
    )
    crop: Bool = Field(False, description="crop to the subject")
    margin: str = Field(
        "0px",
        description="around a crop: px or % of the subject; 1, 2 or 4 values as in CSS",
        json_schema_extra=_MARGIN,
    )

    roi: str = Field(
        WHOLE,
        description="region of interest, x1 y1 x2 y2 in px or %: all outside of it is background",
        json_schema_extra=_ROI,
    )
    scale: str = Field(
        "original",
        description="fits the subject into this part of the canvas: original, or 10% to 100%; "
        "centred unless position is given",
        json_schema_extra=_SCALE,
    )
    position: str = Field(
        "original",
        description="where the subject stands: original, center, or one or two percentages "
        "(across, down)",
        json_schema_extra=_POSITION,
    )
    shadow: Literal["none", "drop", "ground"] = Field(
        "none", description="a shadow under the subject, in cutout and composite"
    )
    shadow_opacity: int = Field(50, ge=0, le=100, description="of the shadow, percent")
    semitransparency: Bool = Field(
        True, description="keeps translucent areas such as glass; false makes them solid"
    )

    def output_size(self, original: Size, network: Size) -> Size:
        """The size of the answer before cropping; never larger than the original."""
        if self.size == "original":
            return original
        if self.size == "network":
            return network
        pixels = float(self.size.removesuffix("mp")) * 1e6
        scale = min(1.0, (pixels / (original[0] * original[1])) ** 0.5)
        return max(1, int(original[0] * scale)), max(1, int(original[1] * scale))


def resolve_options(
    given: Mapping[str, Any],
    presets: Mapping[str, Mapping[str, Any]],
    *,
    has_background_image: bool = False,
) -> Options:
    """Lay what the request gives over its preset; an empty string means 'not given'.

    Raises:
        InvalidOption: unknown name, value out of range, or options that contradict each other.
    """
    own = {k: v for k, v in given.items() if v not in ("", None)}
    preset = str(own.pop("preset", DEFAULT_PRESET))
    if preset not in presets:
        raise InvalidOption(f"preset={preset[:64]}: it must be one of {', '.join(presets)}")
    values = {**presets[preset], **own}
    if values.get("scale", "original") != "original":
        values.setdefault("position", "center")
    try:
        options = Options.model_validate(values)
    except ValidationError as exc:
        raise InvalidOption(_explain(exc)) from exc
    _check_texts(options)
    return _settle_output(options, own, has_background_image)


def load_presets(path: Path) -> dict[str, dict[str, Any]]:
    """Read the presets file and try each preset.

    Raises:
        SettingsError: not readable, no default preset in it, or a preset with a bad option.
    """
    try:
        presets = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as exc:
        raise SettingsError(f"presets_path '{path}' cannot be read: {exc}") from exc
    if not isinstance(presets, dict) or DEFAULT_PRESET not in presets:
        raise SettingsError(f"presets_path '{path}' must define the preset '{DEFAULT_PRESET}'")
    for name, values in presets.items():
        if not isinstance(values, dict):
            raise SettingsError(f"preset '{name}' in '{path}' must hold options, not {values!r}")
        try:
            resolve_options({"preset": name}, presets)
        except InvalidOption as exc:
            raise SettingsError(f"preset '{name}' in '{path}': {exc.detail}") from exc
    return presets


def _check_texts(options: Options) -> None:
    parse_margin(options.margin)
    parse_roi(options.roi)
    parse_placement(options.scale, options.position)
    if options.background not in ("transparent", "blur"):
        parse_color(options.background)
    if re.fullmatch(r"0+(\.0+)?mp", options.size):
        raise InvalidOption(f"size={options.size}: it must be more than 0mp")


def _settle_output(options: Options, own: Mapping[str, Any], has_image: bool) -> Options:
    """Choose between cutout and composite, and refuse what contradicts itself."""
    has_background = has_image or options.background != "transparent"
    asked = own.get("output")
    if has_image and own.get("background", "transparent") != "transparent":
        raise InvalidOption(
            f"background={own['background'][:64]} and a background_image: give one of the two"
        )
    if asked == "composite" and not has_background:
        raise InvalidOption(
            "output=composite needs something behind the subject: give background "
            "(a colour or blur) or background_image"
        )
    if asked == "cutout" and (has_image or own.get("background", "transparent") != "transparent"):
        raise InvalidOption(
            "output=cutout has no background: leave out output, or ask for output=composite"
        )
    if asked is not None:
        return options
    return options.model_copy(update={"output": "composite" if has_background else "cutout"})


def _explain(exc: ValidationError) -> str:
    problem = exc.errors()[0]
    name = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        known = ", ".join(["preset", *Options.model_fields])
        return f"unknown option '{name[:64]}': the options are {known}"
    value = str(problem["input"])[:64]
    context = problem.get("ctx", {})
    rule = {
        "literal_error": f"must be one of {context.get('expected', '')}",
        "int_parsing": "must be a whole number",
        "string_pattern_mismatch": "must be original, network, or megapixels such as 4mp",
        "value_error": f"must be {context.get('error', '')}",
    }.get(problem["type"])
    field = Options.model_fields.get(name)
    bounds = _bounds(field.metadata) if field else ""
    rule = rule or (f"must be {bounds}" if bounds else problem["msg"])
    return f"{name}={value}: it {rule}"


def _bounds(metadata: list[Any]) -> str:
    low = next((m.ge for m in metadata if hasattr(m, "ge")), None)
    high = next((m.le for m in metadata if hasattr(m, "le")), None)
    return f"from {low} to {high}" if low is not None and high is not None else ""
