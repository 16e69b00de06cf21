"""Options: presets, precedence, what is refused, and what an answer's size comes to."""

from pathlib import Path

import pytest

from serve_app.errors import InvalidOption, SettingsError
from serve_app.options import Options, load_presets, resolve_options
from serve_app.settings import Settings, resolve_path

PRESETS = load_presets(resolve_path(Settings().presets_path))


def test_the_shipped_presets_are_the_documented_ones() -> None:
    assert list(PRESETS) == ["preview", "bulk", "ecommerce", "avatar", "id-photo", "portrait"]
    preview = resolve_options({"preset": "preview"}, PRESETS)
    assert (preview.max_side, preview.feather, preview.erode, preview.alpha_threshold) == (
        512,
        0,
        0,
        5,
    )
    ecommerce = resolve_options({"preset": "ecommerce"}, PRESETS)
    assert (ecommerce.feather, ecommerce.erode) == (3, 1)
    id_photo = resolve_options({"preset": "id-photo"}, PRESETS)
    assert (id_photo.output, id_photo.background, id_photo.format) == ("composite", "white", "jpeg")
    assert (id_photo.alpha_threshold, id_photo.erode) == (15, 2)
    assert id_photo.feather > 0


def test_bulk_is_the_default() -> None:
    bulk = resolve_options({}, PRESETS)
    assert bulk == resolve_options({"preset": "bulk"}, PRESETS)
    assert (bulk.erode, bulk.feather) == (0, 0)
    assert bulk.alpha_threshold > 0


def test_own_options_win_over_the_preset() -> None:
    options = resolve_options({"preset": "ecommerce", "feather": "7", "crop": "yes"}, PRESETS)
    assert (options.feather, options.erode, options.crop) == (7, 1, True)


def test_an_empty_string_means_not_given() -> None:
    given = dict.fromkeys(Options.model_fields, "") | {"preset": ""}
    assert resolve_options(given, PRESETS) == resolve_options({}, PRESETS)


def test_a_background_makes_a_composite() -> None:
    assert resolve_options({"background": "#fff"}, PRESETS).output == "composite"
    assert resolve_options({}, PRESETS, has_background_image=True).output == "composite"
    assert resolve_options({"background": "#fff", "output": "alpha"}, PRESETS).output == "alpha"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_side": "9"}, "max_side=9: it must be from 128 to 4096"),
        ({"max_side": "4097"}, "max_side=4097"),
        ({"erode": "1.5"}, r"erode=1\.5: it must be a whole number"),
        ({"quality": "0"}, "quality=0: it must be from 1 to 100"),
        ({"crop": "maybe"}, "crop=maybe: it must be true or false"),
        ({"size": "big"}, "size=big: it must be original, network, or megapixels"),
        ({"size": "0mp"}, "size=0mp: it must be more than 0mp"),
        ({"format": "bmp"}, "format=bmp: it must be one of 'auto'"),
        ({"preset": "fast"}, "preset=fast: it must be one of preview, bulk"),
        ({"colour": "red"}, "unknown option 'colour': the options are preset, output"),
        ({"background": "bleu"}, "'bleu'"),
        ({"margin": "a"}, "margin"),
        ({"output": "composite"}, "output=composite needs something behind"),
        ({"output": "cutout", "background": "red"}, "output=cutout has no background"),
    ],
)
def test_a_bad_option_is_refused_by_name(given: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        resolve_options(given, PRESETS)


def test_two_backgrounds_are_refused() -> None:
    with pytest.raises(InvalidOption, match="one of the two"):
        resolve_options({"background": "red"}, PRESETS, has_background_image=True)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("original", (3000, 4000)),
        ("network", (768, 1024)),
        ("3mp", (1500, 2000)),
        ("100mp", (3000, 4000)),
    ],
)
def test_output_size(size: str, expected: tuple[int, int]) -> None:
    assert Options(size=size).output_size((3000, 4000), (768, 1024)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("other: {}", "must define the preset 'bulk'"),
        ("bulk: 3", "preset 'bulk'.*must hold options"),
        ("bulk: {erode: 9}", "preset 'bulk'.*erode=9"),
        ("bulk: {", "cannot be read"),
    ],
)
def test_a_bad_presets_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "presets.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_presets(file)
