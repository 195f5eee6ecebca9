from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.experiment import Load, Step
from cluster.history import outcome
from cluster.load import check_targets, groups, schedule
from cluster.own_cluster import read_topology
from loadtest.client import LoadError
from loadtest.places import Place

LOAD = Load(("AssumeRole", "verify"), "own", arrivals_per_s=20.0, warm_up_s=2.0, duration_s=30.0, timeout_s=3.0)
THREE = read_topology("three_regions")


def test_a_seed_replays_the_schedule():
    clients = groups(THREE, "own")
    assert schedule(LOAD, clients, 7) == schedule(LOAD, clients, 7)
    assert schedule(LOAD, clients, 7) != schedule(LOAD, clients, 8)


def test_arrivals_come_in_order_at_the_asked_rate_with_warm_up_before_zero():
    arrivals = schedule(LOAD, groups(THREE, "own"), 1)
    due = [arrival.due_at for arrival in arrivals]
    assert due == sorted(due)
    assert -2 <= due[0] < 0
    assert due[-1] < 30
    assert len(arrivals) == pytest.approx(6 * 20 * 32, rel=0.1)
    assert {arrival.operation for arrival in arrivals} == {"AssumeRole", "verify"}


def test_steps_change_the_rate_from_their_moment_on():
    stepped = replace(LOAD, steps=(Step(10.0, 1.5, "more"), Step(20.0, 0.5, "less")))
    due = [arrival.due_at for arrival in schedule(stepped, groups(THREE, "own"), 2)]
    counts = [sum(start <= at < start + 10 for at in due) for start in (0, 10, 20)]
    assert counts == [pytest.approx(6 * 20 * 10 * times, rel=0.1) for times in (1, 1.5, 0.5)]


def test_clients_call_the_global_endpoint_and_their_nearest_or_every_region():
    assert len(groups(THREE, "own")) == 3 * 2
    assert len(groups(THREE, "all")) == 3 * 4
    assert {group.endpoint for group in groups(THREE, "none")} == {"global"}
    assert all(group.region in ("", group.location) for group in groups(THREE, "own"))


@pytest.mark.parametrize(
    ("status", "expected"), [(200, "ok"), (403, "failed"), (503, "failed"), (502, "unknown"), (504, "unknown")]
)
def test_only_doubt_makes_a_failure_indefinite(status, expected):
    assert outcome(status) == expected


def test_load_goes_nowhere_but_to_this_machine():
    away = Place("dublin", "dublin", "http://127.0.0.1:1", {"dublin": "http://192.0.2.1:80"})
    with pytest.raises(LoadError, match="not this machine"):
        check_targets([away])
