import cv2
import numpy as np
import pytest

from serve_app.imaging.windows import Window, enlarge, for_each, soft_mask, windows, with_margin


@pytest.mark.parametrize("density", [0, 1e-5, 1e-3, 0.1, 1])
def test_windows_hold_each_pixel_once_and_no_margin(density: float) -> None:
    rng = np.random.default_rng(0)
    mask = (rng.random((500, 700)) < density).astype(np.uint8)
    seen = np.zeros_like(mask)
    for window in windows(mask):
        seen[window] += 1
        part = mask[window]
        assert all(edge.any() for edge in (part[0], part[-1], part[:, 0], part[:, -1]))
    assert seen.max() <= 1
    assert (seen[mask > 0] == 1).all()


@pytest.mark.parametrize("size", [(96, 80), (101, 77), (33, 400)])
def test_enlarge_is_the_same_in_windows_as_at_once(size: tuple[int, int]) -> None:
    small = np.random.default_rng(0).random((24, 20, 4)).astype(np.float32)
    expected = cv2.resize(small, size[::-1], interpolation=cv2.INTER_LINEAR)
    for top in range(0, size[0], 30):
        for left in range(0, size[1], 30):
            window = slice(top, min(size[0], top + 30)), slice(left, min(size[1], left + 30))
            # Releases before OpenCV 5 place samples to 1/32 px.
            assert np.abs(enlarge(small, size, window) - expected[window]).max() < 0.05


def test_enlarge_from_a_part() -> None:
    small = np.random.default_rng(0).random((24, 20, 3)).astype(np.float32)
    window = slice(30, 40), slice(25, 35)
    part = slice(5, 16), slice(4, 12)
    found = enlarge(np.ascontiguousarray(small[part]), (77, 63), window, (part, (24, 20)))
    assert np.abs(found - enlarge(small, (77, 63), window)).max() < 1e-4


def test_soft_is_neither_clear_nor_opaque() -> None:
    assert soft_mask(np.uint8([[0, 1, 128, 254, 255]])).tolist() == [[0, 255, 255, 255, 0]]


@pytest.mark.parametrize("count", [3, 200])
def test_work_is_done_once_in_each_window(count: int) -> None:
    done = np.zeros((1, count), np.uint8)

    def work(window: Window) -> None:
        done[window] += 1

    for_each(work, ((slice(0, 1), slice(i, i + 1)) for i in range(count)))
    assert (done == 1).all()


def test_what_fails_in_a_window_is_not_lost() -> None:
    def work(_: Window) -> None:
        raise ValueError("bad window")

    with pytest.raises(ValueError, match="bad window"):
        for_each(work, [(slice(0, 1), slice(i, i + 1)) for i in range(200)])


def test_a_margin_stops_at_the_image() -> None:
    image = np.arange(100).reshape(10, 10)
    for window in [(slice(0, 3), slice(4, 10)), (slice(5, 6), slice(2, 9))]:
        around, inner = with_margin(window, 2)
        assert np.array_equal(image[around][inner], image[window])
        assert all(a.start == max(0, w.start - 2) for a, w in zip(around, window, strict=True))
