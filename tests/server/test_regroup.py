"""Nodes that come and leave while a node runs, at its shell: what is on disk, who is waited for, what is said anew."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from stsd.errors import ServiceUnavailable
from stsd.revocation import entries
from stsd.revocation.identity import Identities, Signer, chain_of
from stsd.revocation.messages import MAX_BATCH_BYTES, Batch, Delta, Digest, Head, Origin, PeerNews
from stsd.revocation.peer_records import Left, Peer, sign_left, sign_peer
from stsd.revocation.peer_set import PeerSet
from stsd.revocation.revocation_set import EPSILON_MS, Revocation
from stsd.view import View
from tests.revocation.test_revocation_set import role_session
from tests.server.test_replication import KEY, NOW, OTHER_KEY, replicator, revoked, seed

EU, AP = "eu-west-1", "ap-southeast-1"
ROOT = Signer(b"r" * 32)
FOREIGN = Origin(EU, "1", "f" * 16)
SIGNER = Signer(seed(EU))


def said(*revocations) -> Delta:
    """What eu-west-1 pushed, a batch for each."""
    identities, batches, previous = Identities(b"k" * 32), [], Identities(b"k" * 32).genesis(FOREIGN)
    for first, revocation in enumerate(revocations, 1):
        batch = Batch(FOREIGN, first, (entries.encode_revocation(revocation),), float(NOW), previous)
        batch = replace(batch, chain=chain_of(batch))
        batches.append(replace(batch, signature=SIGNER.sign(identities.batch_content(batch))))
        previous = batch.chain
    return Delta(0, tuple(batches), identities=(identities.announce(FOREIGN, SIGNER),))


def said_at_once(*revocations) -> Delta:
    """The same, in one batch."""
    identities = Identities(b"k" * 32)
    content = tuple(map(entries.encode_revocation, revocations))
    batch = Batch(FOREIGN, 1, content, float(NOW), identities.genesis(FOREIGN))
    batch = replace(batch, chain=chain_of(batch))
    batch = replace(batch, signature=SIGNER.sign(identities.batch_content(batch)))
    return Delta(0, (batch,), identities=(identities.announce(FOREIGN, SIGNER),))


def left(region: str, head: int = 0) -> bytes:
    return sign_left(ROOT, Signer(seed(region)).public_key, Left({FOREIGN: head} if head else {}, NOW))


def news(*records: bytes) -> PeerNews:
    return PeerNews(0, bytes(16), records)


async def until(condition) -> None:
    for _ in range(250):
        if condition():
            return
        await asyncio.sleep(0.02)
    assert condition()


async def test_what_one_that_left_had_said_beyond_its_leaving_heads_is_said_anew_and_stays_revoked(tmp_path):
    async with replicator(tmp_path, EU, AP) as (running, view, journal, _):
        await running.answer(EU, said(OTHER_KEY, KEY))
        await running.answer(AP, news(left(EU, 1)))
        await until(lambda: view.replica.heads() == {FOREIGN: 1, view.replica.origin: 1})
        rows = [(origin, first) for origin, first, _ in await journal.rows()]
        assert sorted(rows) == sorted([(str(FOREIGN), 1), (str(view.replica.origin), 1)])
        assert revoked(view)
    async with replicator(tmp_path, EU, AP) as (_, view, _, _):
        assert revoked(view)


async def test_what_one_that_left_had_said_behind_a_gap_is_said_anew_when_nobody_can_fill_it(tmp_path):
    """Within its leaving heads: it told that it has them, and whoever heard that removed it."""
    pushed = said(OTHER_KEY, Revocation("access_key", "ASIALOST", 0, None), KEY)
    first, _, third = pushed.batches
    async with replicator(tmp_path, EU, AP) as (running, view, journal, _):
        await running.answer(EU, replace(pushed, batches=(first, third)))
        await running.answer(AP, news(left(EU, 3)))
        told = {FOREIGN: Head(1, first.chain)}
        await running.answer(AP, Digest(0, Origin(AP, "1", "e" * 16), told, {}))
        await until(lambda: view.replica.heads() == {FOREIGN: 1, view.replica.origin: 1})
        rows = {(origin, first) for origin, first, _ in await journal.rows()}
        assert rows == {(str(FOREIGN), 1), (str(view.replica.origin), 1)}
        assert revoked(view)
    async with replicator(tmp_path, EU, AP) as (_, view, _, _):
        assert revoked(view)


ROLE = "arn:aws:iam::111122223333:role/deep/build"
CUTOFF_MS = NOW * 1000
INSTANTS_MS = (CUTOFF_MS - 1, CUTOFF_MS, CUTOFF_MS + EPSILON_MS - 1, CUTOFF_MS + EPSILON_MS)


def denied(view: View) -> dict[str, list[bool]]:
    """Whether sessions of each region are refused that were issued around a cut-off and the end of its allowance."""
    sessions = {region: [role_session(at, region) for at in INSTANTS_MS] for region in (EU, AP, view.region)}
    return {region: [bool(view.revocations.check(one, NOW)) for one in some] for region, some in sessions.items()}


async def test_a_cut_off_said_anew_refuses_what_it_refused_before_and_nothing_else(tmp_path):
    """The region that accepted it refuses to the millisecond, the others allow for its clock, whoever says it."""
    cutoff = Revocation("role", ROLE, CUTOFF_MS, None)
    everywhere = [True, True, True, False]
    expected = {EU: [True, False, False, False], AP: everywhere, "us-east-1": everywhere}
    async with replicator(tmp_path, EU, AP) as (running, view, _, _):
        await running.answer(EU, said(OTHER_KEY, cutoff))
        assert denied(view) == expected
        await running.answer(AP, news(left(EU, 1)))
        await until(lambda: view.replica.heads() == {FOREIGN: 1, view.replica.origin: 1})
        assert denied(view) == expected
    async with replicator(tmp_path, EU, AP) as (_, view, _, _):
        assert view.replica.heads() == {FOREIGN: 1, view.replica.origin: 1}
        assert denied(view) == expected


async def test_a_full_batch_of_one_that_left_is_said_anew_in_several(tmp_path):
    one = entries.encode_revocation(Revocation("role", f"{ROLE}00000", CUTOFF_MS, None))
    empty, single = (Batch(FOREIGN, 1, content, 0.0).encoded_bytes for content in ((), (one,)))
    subjects = [f"{ROLE}{number:05}" for number in range((MAX_BATCH_BYTES - empty) // (single - empty))]
    batch = [Revocation("role", subject, CUTOFF_MS, None) for subject in subjects]
    async with replicator(tmp_path, EU, AP) as (running, view, _, _):
        await running.answer(EU, said_at_once(*batch))
        assert view.replica.heads() == {FOREIGN: len(batch)}
        await running.answer(AP, news(left(EU)))
        await until(lambda: view.replica.heads() == {view.replica.origin: len(batch)})
    async with replicator(tmp_path, EU, AP) as (_, view, _, _):
        assert sorted(view.revocations.subjects("role")) == subjects


async def test_what_a_crash_kept_from_being_said_anew_is_said_after_the_next_start(tmp_path):
    async with replicator(tmp_path, EU, AP) as (running, _, _, _):
        await running.answer(EU, said(KEY))
        running._tasks[1].cancel()  # no tick comes any more
        await running.answer(AP, news(left(EU)))
    removed = PeerSet(ROOT.public_key, (left(EU),))
    async with replicator(tmp_path, EU, AP, known=removed) as (_, view, _, _):
        await until(lambda: view.replica.heads() == {view.replica.origin: 1})
        assert revoked(view)


async def test_what_counts_again_before_it_is_said_anew_stays_on_disk(tmp_path):
    """A second record on who left raises its limit, and a peer brings again what was cut meanwhile."""
    async with replicator(tmp_path, EU, AP) as (running, view, journal, _):
        running._tasks[1].cancel()  # no tick comes between
        await running.answer(EU, said(OTHER_KEY, KEY))
        await running.answer(AP, news(left(EU, 1)))
        assert view.replica.heads() == {FOREIGN: 1}
        await running.answer(AP, news(left(EU, 2)))
        await running.answer(AP, said(OTHER_KEY, KEY))
        await running._writing.adopt()
        told = view.replica.heads()
        assert told[FOREIGN] == 2
        assert {(origin, first) for origin, first, _ in await journal.rows()} >= {(str(FOREIGN), 1), (str(FOREIGN), 2)}
    known = PeerSet(ROOT.public_key, (left(EU, 2),))
    async with replicator(tmp_path, EU, AP, known=known) as (_, view, _, _):
        assert view.replica.heads() == told


async def test_a_peer_record_is_on_disk_before_it_counts(tmp_path, monkeypatch):
    async with replicator(tmp_path, EU, AP) as (running, view, _, _):

        def full(path, content):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as broken:
            broken.setattr("stsd.server.membership.write_private", full)
            assert await running.answer(AP, news(left(EU))) == []
        assert view.replica.peers == (AP, EU)
        assert not (tmp_path / "peers.json").exists()
        await running.answer(AP, news(left(EU)))
        assert view.replica.peers == (AP,)
        assert left(EU).hex() in (tmp_path / "peers.json").read_text()


async def test_who_leaves_is_not_waited_for_any_longer(tmp_path):
    async with replicator(tmp_path, EU) as (running, _, _, _):
        waiting = asyncio.create_task(running.revoke(KEY, 30))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await running.answer(EU, news(left(EU)))
        recorded = await asyncio.wait_for(waiting, 1)
        assert (recorded.confirmed, recorded.lagging) == (("us-east-1",), ())


async def test_who_comes_is_a_peer_at_once(tmp_path):
    record = sign_peer(ROOT, ROOT.public_key, Peer(AP, Signer(seed(AP)).public_key, "http://127.0.0.1:1", NOW))
    async with replicator(tmp_path, EU) as (running, view, _, _):
        await running.answer(EU, news(record))
        assert view.replica.peers == (AP, EU)
        assert running.staleness().keys() == {AP, EU, str(view.replica.origin)}


async def test_a_region_whose_node_is_another_one_elsewhere_is_called_there(tmp_path):
    calls: list[str] = []

    async def answer(reader, writer):
        calls.append((await reader.readline()).decode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    record = sign_peer(ROOT, ROOT.public_key, Peer(EU, Signer(b"n" * 32).public_key, url, NOW + 1))
    async with server, replicator(tmp_path, EU) as (running, view, _, _):
        await running.answer(EU, news(left(EU), record))
        assert view.replica.peers == (EU,)
        await until(lambda: calls)
        assert calls[0].startswith("POST /_peer/messages")


async def test_news_are_answered_with_what_the_peer_lacks_and_with_nothing_when_it_lacks_nothing(tmp_path):
    async with replicator(tmp_path, EU) as (running, _, _, _):
        (answer,) = await running.answer(EU, news())
        assert len(answer.records) == 2
        assert await running.answer(EU, PeerNews(0, answer.digest)) == []
        assert await running.answer(EU, PeerNews(0, answer.digest, answer.records)) == []
        assert await running.answer(EU, news(*answer.records, b"forged")) == []


async def test_forged_news_change_nothing_are_counted_and_logged(tmp_path):
    stranger = Signer(b"x" * 32)
    forged = sign_left(stranger, Signer(seed(EU)).public_key, Left({}, NOW))
    record = left(EU)
    async with replicator(tmp_path, EU) as (running, view, _, _):
        reasons: list[str] = []
        running.on_refused = reasons.append
        await running.answer(EU, news(forged, record[:-1] + b" ", b"", record[:10] + bytes(54) + record[64:]))
        assert sorted(reasons) == ["forged", "malformed", "malformed", "other_cluster"]
        assert view.replica.peers == (EU,)


async def test_a_node_that_was_removed_takes_no_revocation_and_has_no_peers(tmp_path):
    async with replicator(tmp_path, EU) as (running, view, journal, _):
        record = sign_left(ROOT, Signer(b"s" * 32).public_key, Left({}, NOW))
        await running.answer(EU, news(record))
        assert view.replica.peers == ()
        with pytest.raises(ServiceUnavailable):
            await running.revoke(KEY)
        assert await journal.rows() == []
        assert not revoked(view)


async def test_a_reset_forgets_what_was_to_be_said_anew(tmp_path):
    async with replicator(tmp_path, EU) as (running, view, _, _):
        await running.answer(EU, said(KEY))
        await running.answer(EU, news(left(EU)))
        await running.reset(7)
        await asyncio.sleep(1.2)
        assert view.replica.heads() == {}
        assert not revoked(view)
