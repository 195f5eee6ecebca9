from __future__ import annotations

from cluster.nemesis import plan
from cluster.nemesis.verbs import VERBS

REGIONS = ("us-east-1", "eu-west-1", "ap-southeast-1")
PLANS = [plan.plan(seed, REGIONS, 30.0) for seed in range(200)]


def test_a_seed_replays_its_plan():
    assert plan.plan(7, REGIONS, 30.0) == plan.plan(7, REGIONS, 30.0) != plan.plan(8, REGIONS, 30.0)


def test_every_fault_comes_and_can_be_done():
    assert {step.verb for steps in PLANS for step in steps} == {*plan.VERBS} == {*VERBS}


def test_faults_end_after_they_begin_and_come_in_order():
    for steps in PLANS:
        assert [step.begin_s for step in steps] == sorted(step.begin_s for step in steps)
        assert all(0 < step.begin_s < step.end_s <= 40.0 for step in steps)


def test_a_region_has_one_fault_of_its_own_at_a_time():
    for steps in PLANS:
        own = [step for step in steps if step.verb in plan.REGION_FAULTS]
        for one in own:
            others = [o for o in own if o is not one and o.where == one.where]
            assert not any(o.begin_s < one.end_s and one.begin_s < o.end_s for o in others)


def test_one_disk_is_lost_while_everything_else_is_well():
    for steps in PLANS:
        (lost,) = [step for step in steps if step.verb == plan.LOSE_DISK]
        assert not any(o.begin_s < lost.end_s and lost.begin_s < o.end_s for o in steps if o is not lost)


def test_some_faults_overlap_and_end_in_another_order_than_they_began():
    overlapping = [
        (one, other) for steps in PLANS for one in steps for other in steps
        if one.begin_s < other.begin_s and other.end_s < one.end_s
    ]  # fmt: skip
    assert len(overlapping) > 50


def test_clocks_differ_by_less_than_revocations_allow_for():
    moved = [step.amount for steps in PLANS for step in steps if step.verb == "move clock"]
    assert max(moved) - min(moved) < 2.0


def test_a_plan_of_chosen_faults_has_no_others():
    for seed in range(20):
        assert {step.verb for step in plan.plan(seed, REGIONS, 30.0, ("kill", "cut"))} <= {"kill", "cut"}
        assert {step.verb for step in plan.plan(seed, REGIONS, 30.0, ("lose disk",))} == {"lose disk"}
