"""PackedPolicySize: the numbers that AWS reports, and what must not slip through them."""

from __future__ import annotations

import json

import pytest

from stsd import policy
from stsd.operations.sts.packing import packed_size


def session_policy(**statement: object):
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    return policy.parse(json.dumps({"Version": "2012-10-17", "Statement": [allow | statement]}), "session")


def test_nothing_passed_has_no_size():
    assert packed_size(None, ()) is None


@pytest.mark.parametrize(("actions", "reported"), [(["*"], 4), ([f"s3:Get{n}" for n in range(32)], 91)])
def test_the_sizes_that_aws_reports_are_met_within_a_few_points(actions, reported):
    assert packed_size(session_policy(Action=actions), ()) == pytest.approx(reported, abs=3)


@pytest.mark.parametrize(
    "large",
    [
        session_policy(Sid="a" * 4_000),
        session_policy(Condition={"StringEquals": {f"aws:{'k' * 4_000}": ""}}),
        policy.parse({"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}] * 100}, "session"),
    ],
    ids=["name", "condition key", "repetition"],
)
def test_what_packs_to_nothing_still_takes_room_in_the_token(large):
    size = packed_size(large, ())
    assert size is not None
    assert size > 100


def test_arns_of_policies_take_room_too():
    arns = tuple(f"arn:aws:iam::111122223333:policy/{'p' * 400}/{n}" for n in range(10))
    size = packed_size(None, arns)
    assert size is not None
    assert size > 100
