import numpy as np
import pytest

from serve_app.imaging.cells import cell_side, highest, label, lowest, spread

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("size", [(1, 1), (1, 600), (256, 256), (257, 100), (576, 1024), (700, 33)])
def test_cells_hold_their_pixels(size: tuple[int, int]) -> None:
    alpha = RNG.integers(0, 256, size, np.uint8)
    side = cell_side(size)
    assert max(size) / side <= 256
    most, least = highest(alpha), lowest(alpha)
    for y in range(0, size[0], side):
        for x in range(0, size[1], side):
            cell = alpha[y : y + side, x : x + side]
            assert most[y // side, x // side] == cell.max()
            assert least[y // side, x // side] == cell.min()
    whole = spread(most, size)
    assert whole.shape == size
    assert (whole >= alpha).all()


def test_areas_hang_together_by_their_corners() -> None:
    count, labels = label(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 1, 1]], np.uint8))
    assert count == 3
    assert labels[0, 0] == labels[1, 1] != labels[3, 0]
    assert not labels[2].any()
