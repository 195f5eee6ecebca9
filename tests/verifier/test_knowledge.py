"""What an offline verifier says about a token, from what it was told."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsd.revocation import feed, golomb
from stsd.revocation.entries import encode_revocation
from stsd.revocation.messages import Origin
from stsd.revocation.replica import Replica
from stsd.revocation.revocation_set import Revocation
from stsd.revocation.snapshot import Snapshot
from stsd.tokens import published_keys, session_token
from stsd.tokens.keyset import new_key_set
from stsd.verifier.knowledge import Knowledge
from tests.revocation.signed import node as replica_of
from tests.tokens.test_session_token import NOW, ROLE, SESSION

HERE = Origin("eu-west-1", "1", "a" * 16)
THERE = Origin("us-east-1", "1", "b" * 16)
KEYS = new_key_set(lambda n: b"\1" * n, NOW)
TOKEN = session_token.sign(SESSION, KEYS.active)
ISSUED = SESSION.issued_at_ms


def knowing(*revocations: Revocation, origin: Origin = HERE, epoch: int = 0) -> Knowledge:
    """A verifier that read a node's feed."""
    replica = replica_of(origin, (), NOW, epoch=epoch)
    for revocation in revocations:
        replica.committed(replica.append([encode_revocation(revocation)], NOW), NOW)
    knowledge = Knowledge()
    knowledge.keys = published_keys.read(KEYS.jwks())
    hear(knowledge, replica)
    return knowledge


def hear(knowledge: Knowledge, replica: Replica) -> None:
    page = feed.after(replica, knowledge.cursor)
    knowledge.meet(page.cursor)
    knowledge.take(page.revocations, NOW)
    knowledge.reach(page.cursor)


def reason(knowledge: Knowledge, token: object = TOKEN, now: float = NOW + 1, *, stale: bool = False) -> str:
    verdict = knowledge.judge(token, now, stale=stale)
    assert verdict.active == (verdict.reason == "")
    return verdict.reason


def test_a_good_token_is_active_and_says_whose_it_is():
    verdict = knowing().judge(TOKEN, NOW + 1, stale=False)
    assert (verdict.active, verdict.reason, verdict.confirmed) == (True, "", True)
    assert verdict.principal == ROLE.arn


@given(st.text(max_size=200) | st.binary(max_size=20) | st.none() | st.integers() | st.just("x." * 20_000))
def test_whatever_is_given_a_reason_comes_back(token):
    assert reason(knowing(), token) in ("malformed", "unknown_key", "bad_signature")


def test_the_reasons_come_in_the_order_of_the_contract():
    knowledge = knowing(Revocation("access_key", SESSION.access_key_id, 0, None))
    other = new_key_set(lambda n: b"\7" * n, NOW)
    assert reason(knowledge, session_token.sign(SESSION, other.active), stale=True) == "unknown_key"
    assert reason(knowledge, TOKEN[:-4] + "AAAA", stale=True) == "bad_signature"
    assert reason(knowledge, now=NOW - 10, stale=True) == "not_yet_valid"
    assert reason(knowledge, now=SESSION.expires_at, stale=True) == "expired"
    assert reason(knowledge, stale=True) == "revoked"
    assert reason(knowing(), stale=True) == "stale"


def test_a_token_of_version_1_is_valid_in_default_regions_only():
    knowledge, older = knowing(), session_token.sign(replace(SESSION, token_version=1), KEYS.active)
    for region, said in (("", ""), ("eu-west-1", ""), ("af-south-1", "region_not_enabled")):
        knowledge.region = region
        assert reason(knowledge, older) == said
        assert reason(knowledge, TOKEN) == ""
    assert reason(knowledge, older, stale=True) == "region_not_enabled"


@pytest.mark.parametrize(
    "revocation",
    [
        Revocation("access_key", SESSION.access_key_id, 0, SESSION.expires_at),
        Revocation("access_key", SESSION.ancestors[0].access_key_id, 0, None),
        Revocation("session", ROLE.arn, ISSUED, SESSION.expires_at),
        Revocation("source_identity", f"{ROLE.account}/alice", ISSUED + 1, SESSION.expires_at),
        Revocation("role", ROLE.policy_arn, ISSUED + 1, SESSION.expires_at),
        Revocation("account", ROLE.account, ISSUED + 1, SESSION.expires_at),
    ],
    ids=lambda revocation: f"{revocation.kind} {revocation.subject}",
)
def test_every_kind_that_the_feed_tells_is_enforced(revocation):
    assert reason(knowing(revocation)) == "revoked"
    assert reason(knowing(revocation._replace(subject="other"))) == ""


def test_a_cut_off_of_another_region_allows_two_seconds_for_the_clocks():
    cutoff = Revocation("role", ROLE.policy_arn, ISSUED - 1_500, SESSION.expires_at)
    assert reason(knowing(cutoff, origin=HERE)) == ""
    assert reason(knowing(cutoff, origin=THERE)) == "revoked"


def test_after_a_reset_of_the_cluster_what_was_known_is_gone():
    knowledge = knowing(Revocation("access_key", SESSION.access_key_id, 0, None))
    knowledge.beat(0.0, 100.0)
    hear(knowledge, replica_of(HERE, (), NOW, epoch=7))
    assert reason(knowledge) == ""
    assert knowledge.staleness_s(100.0) == inf


def test_a_revocation_of_a_later_version_is_counted():
    assert knowing(Revocation("device", "x", 0, None)).unknown == 1


def compact(*keys: str) -> Knowledge:
    knowledge = knowing()
    named = golomb.decode(golomb.encode(keys, b"k"), len(keys), b"k")
    exact = ((Revocation("account", "999999999999", ISSUED + 1, None), "eu-west-1"),)
    knowledge.load(Snapshot(feed.cursor(replica_of(HERE, (), NOW)), int(NOW), named, exact), NOW)
    return knowledge


@pytest.mark.parametrize("key", [SESSION.access_key_id, SESSION.ancestors[0].access_key_id])
def test_a_positive_of_the_compact_set_is_refused_but_not_confirmed(key):
    verdict = compact("ASIAOTHER", key).judge(TOKEN, NOW + 1, stale=False)
    assert (verdict.active, verdict.reason, verdict.confirmed) == (False, "revoked", False)


def test_a_token_that_is_not_in_the_compact_set_is_active():
    assert reason(compact("ASIAOTHER")) == ""


def test_a_false_positive_that_was_cleared_is_active_until_it_is_revoked_itself():
    knowledge = compact(SESSION.access_key_id)
    knowledge.clear(SESSION)
    assert reason(knowledge) == ""
    knowledge.take(
        [
            {
                "kind": "access_key", "subject": SESSION.access_key_id, "issued_before": None,
                "applies_until": None, "origin": str(HERE), "sequence": 1, "id": "x",
            }
        ],
        NOW,
    )  # fmt: skip
    verdict = knowledge.judge(TOKEN, NOW + 1, stale=False)
    assert (verdict.reason, verdict.confirmed) == ("revoked", True)


def test_staleness_is_what_the_node_told_and_the_time_since():
    knowledge = knowing()
    assert knowledge.staleness_s(5.0) == inf
    knowledge.beat(0.25, 10.0)
    assert knowledge.staleness_s(11.0) == 1.25
    knowledge.beat(3.0, 10.5)  # a node that knows less takes nothing back
    assert knowledge.staleness_s(11.0) == 1.25


@pytest.mark.parametrize(
    "told",
    [{}, {"kind": "role"}, {"kind": "role", "subject": "x", "issued_before": "y", "applies_until": 1, "origin": "z"}],
)
def test_what_is_no_revocation_is_an_error_and_not_ignored(told):
    with pytest.raises((KeyError, ValueError, TypeError)):
        knowing().take([told], NOW)
