"""The measures, against slow and independent implementations and analytic answers."""

import math
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from serve_app.errors import InputError, SettingsError
from serve_app.evaluation import Scores, match_pairs, mean_scores, read_alpha, score


def soft_disc(size: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]]
    distance = np.hypot(y - centre[0], x - centre[1])
    return (np.clip((radius - distance) / 4 + 0.5, 0, 1) * 255).round().astype(np.uint8)


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    noise = np.random.default_rng(3).integers(-40, 40, (37, 45))
    truth = soft_disc((37, 45), (16, 20), 11)
    ours = soft_disc((37, 45), (18, 23), 10).astype(int) + noise
    ours[30:35, 38:43] = 200  # an island that hangs together with nothing
    return ours.clip(0, 255).astype(np.uint8), truth


def brute_gradient(alpha: np.ndarray) -> np.ndarray:
    """As `gaussgradient.m` writes it: a kernel filled by two loops, a true convolution."""
    sigma, epsilon = 1.4, 0.01
    half = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * epsilon)))

    def gauss(x: float) -> float:
        return math.exp(-(x**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))

    kernel = np.array(
        [
            [gauss(i) * -j * gauss(j) / sigma**2 for j in range(-half, half + 1)]
            for i in range(-half, half + 1)
        ]
    )
    kernel /= np.sqrt((np.abs(kernel) ** 2).sum())
    x = ndimage.convolve(alpha, kernel, mode="nearest")
    y = ndimage.convolve(alpha, kernel.T, mode="nearest")
    return np.sqrt(x**2 + y**2)


def brute_largest(mask: np.ndarray) -> np.ndarray:
    best: set[tuple[int, int]] = set()
    left = set(zip(*np.nonzero(mask), strict=True))
    while left:
        queue = deque([left.pop()])
        region = set(queue)
        while queue:
            y, x = queue.popleft()
            for near in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if near in left:
                    left.remove(near)
                    region.add(near)
                    queue.append(near)
        best = max(best, region, key=len)
    return np.array([[(y, x) in best for x in range(mask.shape[1])] for y in range(mask.shape[0])])


def brute_connectivity(ours: np.ndarray, true: np.ndarray) -> float:
    """As `compute_connectivity_error.m` writes it."""
    level = -np.ones(true.shape)
    steps = [i / 10 for i in range(11)]
    for i in range(1, 11):
        omega = brute_largest((ours >= steps[i]) & (true >= steps[i]))
        level[(level == -1) & ~omega] = steps[i - 1]
    level[level == -1] = 1
    ours_d, true_d = ours - level, true - level
    ours_phi = 1 - ours_d * (ours_d >= 0.15)
    true_phi = 1 - true_d * (true_d >= 0.15)
    return float(np.abs(ours_phi - true_phi).sum() / 1000)


def test_a_perfect_alpha_has_no_error(pair: tuple[np.ndarray, np.ndarray]) -> None:
    assert score(pair[1], pair[1]) == Scores(iou=1, sad=0, mse=0, mad=0, grad=0, conn=0)


def test_sums_and_means_are_what_they_say() -> None:
    truth = np.zeros((20, 50), np.uint8)
    ours = truth.copy()
    ours[:10] = 51  # 0.2 on half of 1000 pixels
    found = score(ours, truth)
    assert (found.sad, found.mad, found.mse) == pytest.approx((0.1, 0.1, 0.02))
    assert found.iou == 1  # neither has a subject


def test_grad_agrees_with_a_true_convolution(pair: tuple[np.ndarray, np.ndarray]) -> None:
    ours, true = (a / 255 for a in pair)
    expected = ((brute_gradient(ours) - brute_gradient(true)) ** 2).sum() / 1000
    assert score(*pair).grad == pytest.approx(expected, rel=1e-9)


def test_grad_of_a_step_is_analytic() -> None:
    """Across a straight edge the filter sums one side of its derivative: g(0) over its norm."""
    truth = np.zeros((21, 41), np.uint8)
    step = truth.copy()
    step[:, 20:] = 255
    reach = np.arange(-4, 5)
    gauss = np.exp(-(reach**2) / (2 * 1.4**2))
    derivative = reach * gauss
    across = np.array([derivative[reach >= d].sum() for d in range(-4, 6)]) * gauss.sum()
    norm = np.linalg.norm(np.outer(gauss, derivative))
    expected = 21 * ((across / norm) ** 2).sum() / 1000
    assert score(step, truth).grad == pytest.approx(expected, rel=1e-9)


def test_conn_agrees_with_flood_fill(pair: tuple[np.ndarray, np.ndarray]) -> None:
    expected = brute_connectivity(*(a / 255 for a in pair))
    assert expected > 0
    assert score(*pair).conn == pytest.approx(expected, rel=1e-9)


def test_iou_counts_half_opaque_pixels() -> None:
    truth = np.zeros((4, 4), np.uint8)
    truth[:2] = 128
    ours = np.zeros((4, 4), np.uint8)
    ours[1:3] = 255
    ours[3] = 127
    assert score(ours, truth).iou == pytest.approx(4 / 12)


def test_only_unknown_pixels_count(pair: tuple[np.ndarray, np.ndarray]) -> None:
    ours, truth = pair
    unknown = np.zeros(truth.shape, bool)
    unknown[5:9, 5:9] = True
    elsewhere = ours.copy()
    elsewhere[~unknown] = truth[~unknown]
    assert score(ours, truth, unknown).sad == pytest.approx(score(elsewhere, truth).sad)
    assert score(ours, truth, unknown).mad == pytest.approx(
        np.abs(ours[5:9, 5:9].astype(float) - truth[5:9, 5:9]).mean() / 255
    )


@pytest.mark.parametrize(
    ("ours", "unknown"), [((4, 5), None), ((4, 4), (4, 5))], ids=["alpha", "unknown"]
)
def test_shapes_have_to_agree(ours: tuple[int, int], unknown: tuple[int, int] | None) -> None:
    mask = None if unknown is None else np.ones(unknown, bool)
    with pytest.raises(InputError, match=r"\(4, 5\)"):
        score(np.zeros(ours, np.uint8), np.zeros((4, 4), np.uint8), mask)


def test_nothing_to_score_is_refused() -> None:
    square = np.zeros((4, 4), np.uint8)
    with pytest.raises(InputError, match="no pixel"):
        score(square, square, np.zeros((4, 4), bool))
    with pytest.raises(InputError, match="no image"):
        mean_scores([])


def test_images_count_the_same_in_the_mean() -> None:
    mean = mean_scores([Scores(1, 2, 3, 4, 5, 6), Scores(0, 4, 5, 6, 7, 8)])
    assert mean == Scores(0.5, 3, 4, 5, 6, 7)


def folders(root: Path, images: list[str], alphas: list[str]) -> tuple[Path, Path]:
    for folder, names in (("images", images), ("alphas", alphas)):
        (root / folder).mkdir()
        for name in names:
            (root / folder / name).touch()
    return root / "images", root / "alphas"


def test_pairs_are_found_by_stem(tmp_path: Path) -> None:
    found = match_pairs(*folders(tmp_path, ["b.jpg", "a.webp", ".hidden"], ["a.png", "b.png"]))
    assert [(p.name, p.image.name, p.alpha.name) for p in found] == [
        ("a", "a.webp", "a.png"),
        ("b", "b.jpg", "b.png"),
    ]


@pytest.mark.parametrize(
    ("images", "alphas", "message"),
    [
        (["a.jpg", "b.jpg"], ["a.png"], "no partner for 'b'"),
        (["a.jpg"], ["a.png", "c.png"], "no partner for 'c'"),
        ([f"{n}.jpg" for n in range(5)], ["x.png"], "and 3 more"),
        (["a.jpg", "a.png"], ["a.png"], "share a name"),
        ([], ["a.png"], "empty"),
    ],
)
def test_what_does_not_pair_is_named(
    tmp_path: Path, images: list[str], alphas: list[str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        match_pairs(*folders(tmp_path, images, alphas))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nowhere"):
        match_pairs(tmp_path / "nowhere", tmp_path)


def test_an_alpha_is_grey(tmp_path: Path) -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.new("RGB", (4, 3)).save(tmp_path / "colour.png")
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    np.testing.assert_array_equal(read_alpha(tmp_path / "grey.png"), grey)
    with pytest.raises(InputError, match="RGB"):
        read_alpha(tmp_path / "colour.png")
    with pytest.raises(InputError, match="broken"):
        read_alpha(tmp_path / "broken.png")
