"""One turn at a time, by one clock."""

from pathlib import Path

from serve_app.api.jobs.lease import Lease, LeaseWatch, newest


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def claimed(folder: Path, number: int) -> Lease:
    lease = Lease.claim(folder, number)
    assert lease is not None
    return lease


def test_a_number_is_won_once(tmp_path: Path) -> None:
    assert claimed(tmp_path, 1).renew()
    assert Lease.claim(tmp_path, 1) is None
    assert Lease.claim(tmp_path / "none", 1) is None


def test_a_turn_ends_after_so_much_silence(tmp_path: Path) -> None:
    clock = Clock()
    watch = LeaseWatch(10, clock)
    assert watch.free_turn(tmp_path) is None  # its owner may be about to claim it
    clock.now += 11
    assert watch.free_turn(tmp_path) == 1
    lease = claimed(tmp_path, 1)
    for _ in range(3):  # a sign of life each time
        assert watch.free_turn(tmp_path) is None
        clock.now += 9
        assert lease.renew()
    assert watch.free_turn(tmp_path) is None
    clock.now += 9
    assert watch.free_turn(tmp_path) is None
    clock.now += 2
    assert watch.free_turn(tmp_path) == 2


def test_a_lease_that_is_just_being_made_is_not_free(tmp_path: Path) -> None:
    (tmp_path / "lease.1").touch()
    assert LeaseWatch(10).free_turn(tmp_path) is None


def test_who_was_slow_sees_that_the_turn_is_over(tmp_path: Path) -> None:
    slow = claimed(tmp_path, 1)
    assert claimed(tmp_path, 2).renew()
    assert not slow.renew()
    assert newest(tmp_path) == 2


def test_a_released_turn_is_free_at_once(tmp_path: Path) -> None:
    claimed(tmp_path, 1).release()
    assert LeaseWatch(1000).free_turn(tmp_path) == 2


def test_a_job_that_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    lease = claimed(folder, 1)
    folder.rename(tmp_path / "gone")
    assert not lease.renew()
    lease.release()
    assert LeaseWatch(0).free_turn(folder) is None
    assert not folder.exists()
