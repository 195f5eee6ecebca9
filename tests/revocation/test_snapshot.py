"""The compact form: it says what the set says, and only who holds a token key can make one."""

from __future__ import annotations

from base64 import urlsafe_b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsd.principal import Ancestor, Principal, Session
from stsd.revocation import snapshot
from stsd.revocation.revocation_set import RULES, Revocation, RevocationSet
from stsd.revocation.snapshot import Snapshot, SnapshotError
from stsd.tokens import published_keys
from stsd.tokens.keyset import new_key_set

NOW = 1_795_435_200.0
CURSOR = "WzAse31d"
KEYS = new_key_set(lambda n: b"\1" * n, NOW)
PUBLISHED = published_keys.read(KEYS.jwks())
REGIONS = ("eu-west-1", "us-east-1")
NAMES = st.sampled_from(["a", "b", "c"])
REVOCATIONS = st.builds(
    Revocation, st.sampled_from([*RULES, "device"]), NAMES, st.integers(0, 3_000).map(lambda ms: int(NOW) * 1000 + ms),
    st.none() | st.integers(int(NOW), int(NOW) + 100),
)  # fmt: skip
SESSIONS = st.builds(
    lambda key, role, issued_ms, region, ancestor, identity: Session(
        key, Principal("assumed_role", role, f"{role}", "u", role, "u", role), "t", "k", "i", region,
        int(NOW) * 1000 + issued_ms, int(NOW) + 3_600,
        ancestors=(Ancestor(ancestor, ancestor, int(NOW) * 1000, "us-east-1"),),
        source_identity=identity,
    ),
    NAMES, NAMES, st.integers(0, 6_000), st.sampled_from(REGIONS), NAMES, NAMES,
)  # fmt: skip


def finished(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def made(revocations: RevocationSet, cursor: str = CURSOR) -> bytes:
    content, _ = finished(snapshot.encoding(revocations, cursor, NOW, KEYS.active.kid, KEYS.active.sign))
    return content


def one() -> RevocationSet:
    revocations = RevocationSet()
    revocations.add(Revocation("access_key", "ASIA1", 0, None), "eu-west-1", NOW)
    revocations.add(Revocation("role", "arn:r", 1_795_435_200_250, 1_795_500_000), "eu-west-1", NOW)
    return revocations


def loaded(told: Snapshot) -> RevocationSet:
    revocations = RevocationSet()
    for revocation, region in told.exact:
        revocations.add(revocation, region, NOW)
    return revocations


@given(st.lists(st.tuples(REVOCATIONS, st.sampled_from(REGIONS)), max_size=8), SESSIONS)
def test_set_and_exact_part_together_refuse_what_the_node_refuses(told, session):
    revocations = RevocationSet()
    for revocation, region in told:
        revocations.add(revocation, region, NOW)
    read = snapshot.read(made(revocations), PUBLISHED.signed)
    suspected = any(key in read.named for key, _, _ in RULES["access_key"].subjects(session))
    refused = loaded(read).check(session, NOW) is not None
    assert (suspected or refused) == (revocations.check(session, NOW) is not None)
    assert loaded(read).unknown == revocations.unknown


@given(st.lists(st.tuples(REVOCATIONS, st.sampled_from(REGIONS)), max_size=8), SESSIONS)
def test_what_is_joined_answers_as_the_set_it_came_from(told, session):
    revocations, again = RevocationSet(), RevocationSet()
    for revocation, region in told:
        revocations.add(revocation, region, NOW)
    for revocation, region in revocations.joined():
        again.add(revocation, region, NOW)
    for moment in (NOW, NOW + 50, NOW + 5_000):
        denials = (revocations.check(session, moment), again.check(session, moment))
        assert (denials[0] is None) == (denials[1] is None)


def test_a_snapshot_says_where_the_feed_goes_on_and_tells_cut_offs_exactly():
    told = snapshot.read(made(one()), PUBLISHED.signed)
    assert (told.cursor, told.made_at, len(told.named)) == (CURSOR, int(NOW), 1)
    assert told.exact == ((Revocation("role", "arn:r", 1_795_435_200_250, 1_795_500_000), "eu-west-1"),)


def test_the_etag_follows_what_is_told():
    _, first = finished(snapshot.encoding(one(), CURSOR, NOW, KEYS.active.kid, KEYS.active.sign))
    _, again = finished(snapshot.encoding(one(), CURSOR, NOW, KEYS.active.kid, KEYS.active.sign))
    _, other = finished(snapshot.encoding(RevocationSet(), CURSOR, NOW, KEYS.active.kid, KEYS.active.sign))
    assert first == again != other


@given(st.data())
def test_a_changed_snapshot_is_refused(data):
    content = made(one())
    at = data.draw(st.integers(0, len(content) - 1))
    changed = content[:at] + bytes([content[at] ^ data.draw(st.integers(1, 255))]) + content[at + 1 :]
    try:
        signature, _, rest = changed.partition(b"\n")
        if rest == content.partition(b"\n")[2] and urlsafe_b64decode(signature + b"==") == urlsafe_b64decode(
            content.partition(b"\n")[0] + b"=="
        ):
            return  # another spelling of the same signature
    except ValueError:
        pass
    with pytest.raises(SnapshotError):
        snapshot.read(changed, PUBLISHED.signed)


def test_a_snapshot_of_another_cluster_is_refused():
    other = new_key_set(lambda n: b"\7" * n, NOW)
    with pytest.raises(SnapshotError, match="bad_signature"):
        snapshot.read(made(one()), published_keys.read(other.jwks()).signed)
    assert snapshot.kid(made(one())) == KEYS.active.kid


@pytest.mark.parametrize("content", [b"", b"\n", b"x\ny\n", b"AAAA\n[]\n", b"AAAA\n{}\n", b"AAAA\n1\n" + b"x" * 99])
def test_what_is_no_snapshot_is_refused(content):
    with pytest.raises(SnapshotError, match="bad_shape"):
        snapshot.read(content, PUBLISHED.signed)
    with pytest.raises(SnapshotError, match="bad_shape"):
        snapshot.kid(content)
