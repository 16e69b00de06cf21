"""remove.bg's parameters, translated into options of the native API."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from serve_app.api.removebg.faults import Fault
from serve_app.errors import InvalidOption
from serve_app.imaging.background import parse_color
from serve_app.imaging.crop import Length, parse_margin
from serve_app.imaging.placement import parse_placement
from serve_app.imaging.roi import parse_roi

SIZES = {  # megapixels; "full" is as large as the format may be
    "preview": 0.25,
    "small": 0.25,
    "regular": 0.25,
    "medium": 1.5,
    "hd": 4.0,
    "full": 50.0,
    "4k": 50.0,
    "auto": 50.0,
}
FORMATS = ("auto", "png", "jpg", "webp", "zip")
TYPES = ("auto", "person", "product", "car", "animal", "graphic", "transportation")
SHADOWS = ("none", "drop", "auto", "car", "3D")

_LARGEST = {"png": 10.0, "webp": 25.0, "jpeg": 50.0, "zip": 50.0}  # megapixels
_ON_GROUND = ("car", "transportation")

_LENGTHS = re.compile(r"(?:0|\d+(?:\.\d+)?(?:px|%))(?: +(?:0|\d+(?:\.\d+)?(?:px|%)))*")
_HEX = re.compile(r"(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})", re.IGNORECASE)
_MAX_MARGIN = (50.0, 500.0)  # percent of the subject, px

Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Translation:
    """What to ask of the native API, and what the answer's headers need besides."""

    options: dict[str, str]
    largest: float  # megapixels that a full-size answer may have
    type: str | None  # for X-Type; None leaves it out


def translate(fields: Fields, has_background_image: bool) -> Translation:
    """Check every parameter and say it in the native API's words.

    Raises:
        Fault: a parameter outside of its values, under the code `invalid_<parameter>`.
    """
    channels = _choice(fields, "channels", ("rgba", "alpha"))
    background = _background(fields)
    opaque = has_background_image or (background != "" and parse_color(background)[3] == 255)
    format = _choice(fields, "format", FORMATS).replace("jpg", "jpeg")
    if format == "auto":
        format = "jpeg" if opaque and channels == "rgba" else "png"
    largest = _LARGEST[format]
    megapixels = min(largest, SIZES[_choice(fields, "size", tuple(SIZES))])
    options = {
        "format": format,
        "size": f"{megapixels:g}mp",
        "background": background,
        "output": "alpha" if channels == "alpha" and format != "zip" else "",
        "semitransparency": _flag(fields, "semitransparency", True),
        **_framing(fields),
        **_shadow(fields),
    }
    return Translation(options, largest, _type(fields))


def _framing(fields: Fields) -> dict[str, str]:
    scale, position = fields.get("scale", ""), fields.get("position", "")
    _checked("scale", scale, lambda text: parse_placement(text, "original"))
    _checked("position", position, lambda text: parse_placement("original", text))
    for name in ("roi", "crop_margin"):
        if name in fields and not _LENGTHS.fullmatch(fields[name].strip()):
            raise _invalid(name, fields[name], "lengths in px or %, as in '10px' or '5%'")
    _checked("roi", fields.get("roi", ""), parse_roi)
    _checked("crop_margin", fields.get("crop_margin", ""), _check_margin)
    return {
        "roi": fields.get("roi", ""),
        "crop": _flag(fields, "crop", False),
        "margin": fields.get("crop_margin", ""),
        "scale": scale,
        "position": position,
    }


def _check_margin(text: str) -> None:
    margin = parse_margin(text)
    if any(_too_wide(length) for length in (margin.top, margin.right, margin.bottom, margin.left)):
        raise InvalidOption("each side may have at most 50% of the subject, or 500px")


def _too_wide(length: Length) -> bool:
    return length.value > _MAX_MARGIN[0 if length.percent else 1]


def _background(fields: Fields) -> str:
    color = fields.get("bg_color", "").strip()
    if _HEX.fullmatch(color):
        color = f"#{color}"
    _checked("bg_color", color, parse_color)
    return color


def _shadow(fields: Fields) -> dict[str, str]:
    deprecated = "car" if _flag(fields, "add_shadow", False) == "true" else "none"
    kind = _choice({"shadow_type": deprecated, **fields}, "shadow_type", SHADOWS)
    if kind == "auto":
        kind = "car" if fields.get("type") in _ON_GROUND else "drop"
    opacity = fields.get("shadow_opacity", "")
    if opacity and not (re.fullmatch(r"\d{1,3}", opacity) and int(opacity) <= 100):
        raise _invalid("shadow_opacity", opacity, "a whole number from 0 to 100")
    native = {"car": "ground", "3D": "ground"}.get(kind, kind)
    return {"shadow": native, "shadow_opacity": opacity}


def _type(fields: Fields) -> str | None:
    kind = _choice(fields, "type", TYPES)
    level = _choice({"type_level": "1", **fields}, "type_level", ("none", "1", "2", "latest"))
    if level == "none":
        return None
    return "other" if kind == "auto" else kind  # nothing here guesses what the photo shows


def _choice(fields: Fields, name: str, values: tuple[str, ...]) -> str:
    """A parameter of few values, the first being the default."""
    value = fields.get(name, values[0])
    if value not in values:
        raise _invalid(name, value, f"one of {', '.join(values)}")
    return value


def _flag(fields: Fields, name: str, default: bool) -> str:
    value = fields.get(name, str(default)).strip().lower()
    if value in ("true", "1", "yes", "on"):
        return "true"
    if value in ("false", "0", "no", "off"):
        return "false"
    raise _invalid(name, value, "true or false")


def _checked(name: str, value: str, parse: Callable[[str], object]) -> None:
    if not value:
        return
    try:
        parse(value)
    except InvalidOption as exc:
        raise _invalid(name, value, exc.detail) from exc


def _invalid(name: str, value: str, rule: str) -> Fault:
    return Fault(
        f"invalid_{name}", f"Invalid {name} parameter given", f"{name}={value[:60]}: {rule}"
    )
