"""Which files of a watched folder have settled."""

from serve_app.bulk.inputs import Input
from serve_app.bulk.watch import Settled


def test_a_file_is_given_once_when_nobody_writes_it_any_more() -> None:
    now = [0.0]
    settled = Settled(lambda: now[0])

    def look(stamp: str, at: float) -> int:
        now[0] = at
        return len(settled.fresh([Input("/a.jpg", "a.jpg", stamp)]))

    assert look("10", 0) == 0  # new
    assert look("20", 2) == 0  # it grows
    assert look("20", 3) == 0  # quiet, but not for long
    assert look("20", 4) == 1
    assert look("20", 9) == 0  # given
    assert look("30", 10) == 0  # written again
    assert look("30", 12) == 1
