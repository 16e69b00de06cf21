"""What the ramp reads from its looks at the replicas, and how it judges that."""

import pytest

from benchmarks.chaos.traffic import Answer
from benchmarks.ramp import MOST, Moment, Ramp, checks, ramp_config, tables, timeline
from benchmarks.running_service import STAGES, read_config

BEGAN, ENDED = 10.0, 55.0


def moment(at: float, serving: int, there: int | None = None) -> Moment:
    """The same number of replicas of each stage but the ingress."""
    numbers = {"Ingress": 1}
    return Moment(
        at,
        {**dict.fromkeys(STAGES, serving), **numbers},
        {**dict.fromkeys(STAGES, serving if there is None else there), **numbers},
    )


def ramp(*moments: Moment, failures: int = 0) -> Ramp:
    good = [Answer(at, at + 0.5, 200, "", "") for at in range(10, 54)]
    bad = [Answer(20, 21, 503, "overloaded", "2")] * failures
    return Ramp(BEGAN, ENDED, list(moments), good[:2], good + bad)


QUICK = (moment(0, 1), moment(12, 1, 2), moment(18, 2), moment(54, 2), moment(90, 1, 2))


def test_times_count_from_when_the_load_came_and_went() -> None:
    seen = ramp(*QUICK, moment(92, 1))
    assert seen.serves_after("UNet") == 8  # one that starts serves nobody
    assert seen.least_after("UNet") == 35  # one that stops is still there
    assert seen.most("UNet") == 2
    assert seen.rate(20, 30) == 1


@pytest.mark.parametrize(
    ("seen", "held"),
    [
        (ramp(*QUICK, moment(92, 1)), [True, True, True]),
        (ramp(moment(0, 1), moment(40, 2), moment(60, 1)), [False, True, True]),
        (ramp(moment(0, 1), moment(90, 1)), [False, True, True]),  # it never grew
        (ramp(*QUICK, moment(116, 1, 2), moment(117, 1)), [True, False, True]),
        (ramp(*QUICK, moment(235, 2)), [True, False, True]),  # it never shrank
        (ramp(*QUICK, moment(92, 1), failures=1), [True, True, False]),
    ],
)
def test_each_limit_is_judged(seen: Ramp, held: list[bool]) -> None:
    judged = checks(seen)
    assert [check.holds for check in judged] == held
    limits, replicas, load = tables(seen, judged, 40)
    assert [row[-1] == "yes" for row in limits.rows] == held
    assert [row[0] for row in replicas.rows] == list(STAGES)
    assert load.rows[-1][1] == ("none" if held[2] else "1 x 503 overloaded")


def test_the_timeline_has_its_corners() -> None:
    points = timeline(ramp(moment(0, 1), moment(5, 1), moment(18, 1), moment(19, 2), moment(20, 2)))
    assert points["UNet"] == [(-10, 1), (8, 1), (9, 2), (10, 2)]


def test_nothing_but_the_network_and_the_bounds_is_changed() -> None:
    (shipped,) = read_config()["applications"]
    (changed,) = ramp_config(read_config(), "/jobs")["applications"]
    for before, after in zip(shipped["deployments"], changed["deployments"], strict=True):
        assert after["autoscaling_config"].pop("max_replicas") == MOST[after["name"]]
        before["autoscaling_config"].pop("max_replicas")
        assert after == before
