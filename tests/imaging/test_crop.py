import numpy as np
import pytest

from serve_app.errors import InvalidOption
from serve_app.imaging.crop import Length, Margin, crop, crop_box, parse_margin
from serve_app.types import Box

SUBJECT = Box(top=40, left=50, height=20, width=30)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10px", [(10, False)] * 4),
        ("0", [(0, False)] * 4),
        ("5%", [(5, True)] * 4),
        ("10 20%", [(10, False), (20, True)] * 2),
        (" 1  2px 3%\t4.5% ", [(1, False), (2, False), (3, True), (4.5, True)]),
    ],
)
def test_margins_in_the_order_of_css(text: str, expected: list[tuple[float, bool]]) -> None:
    assert parse_margin(text) == Margin(*(Length(*each) for each in expected))


@pytest.mark.parametrize(
    "text", ["", "1 2 3", "1 2 3 4 5", "-1", "10em", "px", "1e3", "nan", "inf%", "1,2", "9" * 9]
)
def test_what_is_no_margin(text: str) -> None:
    with pytest.raises(InvalidOption, match="margin"):
        parse_margin(text)


@pytest.mark.parametrize(
    ("margin", "expected"),
    [
        ("0", SUBJECT),
        ("10", Box(30, 40, 40, 50)),
        ("10%", Box(38, 47, 24, 36)),
        ("1 2 3 4", Box(39, 46, 24, 36)),
        ("500", Box(0, 0, 100, 200)),
        ("0 150 0 0", Box(40, 50, 20, 150)),
    ],
)
def test_crop_box(margin: str, expected: Box) -> None:
    assert crop_box(SUBJECT, parse_margin(margin), (100, 200)) == expected


def test_no_subject_means_the_whole_image() -> None:
    assert crop_box(Box(0, 0, 0, 0), parse_margin("10"), (7, 9)) == Box(0, 0, 7, 9)


def test_crop_cuts_every_array_alike() -> None:
    image = np.arange(300, dtype=np.uint8).reshape(10, 10, 3)
    color, alpha = crop([image, image[..., 0]], Box(2, 3, 4, 5))
    assert np.array_equal(color, image[2:6, 3:8])
    assert np.array_equal(alpha, image[2:6, 3:8, 0])
    assert color.flags.c_contiguous
    assert alpha.flags.c_contiguous
