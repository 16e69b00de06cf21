"""Faults and overload in short: what of `benchmarks/chaos` takes seconds, without its timings."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.chaos.outcome import Outcome
from benchmarks.chaos.plan import SHORT, Plan
from benchmarks.chaos.redeploy import redeploy
from benchmarks.chaos.replicas import kill_controller, kill_ingress, kill_proxy
from benchmarks.chaos.traffic import open_loop, photo
from benchmarks.running_service import RunningService

PLAN = replace(SHORT, kills=1)


def assert_holds(outcome: Outcome) -> None:
    """All but how long it took: that is for a machine with nothing else to do."""
    missed = [c for c in outcome.checks if not c.holds and ", s" not in c.name]
    assert not missed, outcome


@pytest.mark.parametrize("kill", [kill_ingress, kill_proxy, kill_controller])
def test_what_dies_takes_with_it_what_was_in_flight_and_no_more(
    service: RunningService, kill: Callable[[RunningService, Plan], Outcome]
) -> None:
    assert_holds(kill(service, PLAN))


def test_more_than_it_can_do_is_refused_in_its_own_words(service: RunningService) -> None:
    answers = open_loop(service.url, photo(320, 180), rate=50, seconds=4)
    refused = [answer for answer in answers if answer.code == "overloaded"]
    assert refused
    assert all(answer.status == 503 and int(answer.retry_after) > 0 for answer in refused)
    # On a slow machine the last of those that were let in may run out of time.
    others = {(answer.status, answer.code) for answer in answers if answer not in refused}
    assert (200, "") in others
    assert others <= {(200, ""), (504, "timeout")}


def test_a_roll_out_under_load_fails_no_request(service: RunningService) -> None:
    assert_holds(redeploy(service, PLAN))
    service.wait_until_ready()
