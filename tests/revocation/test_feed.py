"""The feed: every revocation once, in each origin's order, however far a reader's cursor is."""

import pytest

from stsd.revocation import feed
from stsd.revocation.entries import encode_revocation
from stsd.revocation.messages import Batch, Delta, Origin
from stsd.revocation.replica import Replica
from stsd.revocation.revocation_set import Revocation
from tests.revocation.signed import node as node_of
from tests.revocation.signed import signed

HERE, THERE = Origin("eu-west-1", "n1", "a" * 16), Origin("us-east-1", "n1", "b" * 16)
NOW = 1_795_435_200.0


def entry(subject: str, kind: str = "role", issued_before_ms: int = 1_795_435_200_250) -> bytes:
    return encode_revocation(Revocation(kind, subject, issued_before_ms, 1_795_500_000, "why"))


def node(epoch: int = 0) -> Replica:
    replica = node_of(HERE, ("us-east-1",), NOW, epoch=epoch, knows=[THERE])
    for subjects in (("one",), ("two", "three")):
        write(replica, *map(entry, subjects))
    return replica


def write(replica: Replica, *entries: bytes) -> None:
    replica.committed(replica.append(entries, NOW), NOW)


def hear(replica: Replica, *batches: Batch) -> None:
    replica.saved(replica.receive("us-east-1", Delta(replica.epoch, batches), NOW), NOW)


def subjects(page: feed.Page) -> list[str]:
    return [revocation["subject"] for revocation in page.revocations]


def test_an_entry_of_the_feed_names_itself_and_what_it_revokes():
    assert feed.after(node()).revocations[1] == {
        "id": f"eu-west-1/n1/{'a' * 16}-2",
        "kind": "cut-off",
        "subject": "two",
        "issued_before": 1_795_435_200.25,
        "applies_until": 1_795_500_000,
        "origin": f"eu-west-1/n1/{'a' * 16}",
        "sequence": 2,
    }


@pytest.mark.parametrize(("cutoff_ms", "told"), [(0, None), (1_795_435_200_000, 1_795_435_200), (1_500, 1.5)])
def test_a_cut_off_is_in_seconds_and_absent_for_a_named_key(cutoff_ms, told):
    replica = node_of(HERE, (), NOW)
    write(replica, entry("x", "access_key", cutoff_ms))
    assert feed.after(replica).revocations[0]["issued_before"] == told


@pytest.mark.parametrize(("home", "told"), [("", 1.5), (HERE.region, 1.5), (THERE.region, 3.5)])
def test_a_cut_off_of_another_regions_clock_is_told_with_the_allowance_for_clocks(home, told):
    """A reader takes it for exact in the region of its origin, where more was refused."""
    replica = node_of(HERE, (), NOW)
    write(replica, encode_revocation(Revocation("role", "arn:aws:iam::111122223333:role/r", 1_500, None, "", home)))
    assert feed.after(replica).revocations[0]["issued_before"] == told


def test_following_the_cursor_gives_every_revocation_once():
    replica = node()
    hear(replica, signed(Batch(THERE, 1, (entry("four"), entry("five")), NOW)))
    cursor, heard = "", []
    while (page := feed.after(replica, cursor, limit=2)).revocations:
        heard += subjects(page)
        cursor = page.cursor
    assert heard == ["one", "two", "three", "four", "five"]
    assert page.cursor == cursor
    write(replica, entry("six"))
    assert subjects(feed.after(replica, cursor)) == ["six"]


def test_the_etag_changes_with_a_revocation_and_only_then():
    replica = node()
    cursor = feed.after(replica).cursor
    before = feed.after(replica, cursor).etag
    assert feed.after(replica, cursor).etag == before
    assert before.startswith('"')
    assert before.endswith('"')
    write(replica, entry("four"))
    assert feed.after(replica, cursor).etag != before


def test_a_cursor_from_a_node_that_knows_more_does_not_go_back():
    ahead = node()
    write(ahead, entry("four"))
    cursor = feed.after(ahead).cursor
    page = feed.after(node(), cursor)
    assert (page.revocations, page.cursor) == ([], cursor)


def test_a_revocation_ahead_of_a_gap_is_not_told_before_its_turn():
    replica = node()
    early = signed(Batch(THERE, 1, (entry("early"),), NOW))
    hear(replica, signed(Batch(THERE, 2, (entry("late"),), NOW), early.chain))
    assert "late" not in subjects(feed.after(replica))
    cursor = feed.after(replica).cursor
    hear(replica, early)
    assert subjects(feed.after(replica, cursor)) == ["early", "late"]


def test_after_a_reset_a_former_cursor_reads_from_the_beginning():
    cursor = feed.after(node(epoch=1)).cursor
    assert subjects(feed.after(node(epoch=2), cursor)) == ["one", "two", "three"]


@pytest.mark.parametrize(
    "cursor", ["?", "é", "W10", "WzAsW11d", "WzAseyJ4IjoxfV0", "WzAseyJ4IjoidCJ9XQ", "x" * (1 << 21)]
)
def test_what_is_not_a_cursor_is_refused(cursor):
    with pytest.raises(ValueError, match="not a"):
        feed.after(node(), cursor)


def test_a_kind_of_a_later_version_is_told():
    replica = node_of(HERE, (), NOW)
    write(replica, entry("x", "device"), b"unreadable")
    assert [revocation["kind"] for revocation in feed.after(replica).revocations] == ["device", "unknown"]


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("access_key", "ASIARTX3GSDSQEXAMPL2"),
        ("session", "arn:aws:sts::111122223333:assumed-role/ops/alice-1"),
        ("source_identity", "111122223333/alice"),
        ("role", "arn:aws:iam::111122223333:role/team/ops"),
        ("principal", "arn:aws:iam::111122223333:user/role/alice"),
        ("principal", "arn:aws:iam::111122223333:root"),
        ("account", "111122223333"),
        ("device", "of a later version"),
    ],
)
def test_a_reader_knows_every_kind_by_its_word_and_the_form_of_its_subject(kind, subject):
    replica = node_of(HERE, (), NOW)
    write(replica, entry(subject, kind, 1_795_435_200_257))
    (told,) = feed.after(replica).revocations
    assert feed.read(told) == (Revocation(kind, subject, 1_795_435_200_257, 1_795_500_000), "eu-west-1")
