"""The shell around the replica: what is stored before it is told, and what happens when storing fails."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager
from dataclasses import replace
from io import BytesIO

import pytest

from stsd import provision
from stsd import world as worlds
from stsd.config import ConfigError
from stsd.errors import ServiceUnavailable
from stsd.revocation.identity import Identities, Signer, chain_of
from stsd.revocation.messages import Ack, Batch, Delta, Digest, Fork, Origin
from stsd.revocation.replica import Replica
from stsd.revocation.revocation_set import EPSILON_MS, Revocation, RevocationSet
from stsd.server import tasks
from stsd.server.backbone.http import HttpBackbone
from stsd.server.backbone.links import PeerLinks
from stsd.server.backbone.sealing import Sealing
from stsd.server.backbone.snapshot_files import SnapshotFiles
from stsd.server.clock import Clock, entropy
from stsd.server.journal import Journal, JournalConflict, JournalError
from stsd.server.log import EventLog
from stsd.server.membership import Membership
from stsd.server.replication import Replicator
from stsd.tokens.keyset import new_key_set
from stsd.view import View
from tests.revocation.test_revocation_set import role_session

NOW = 1_795_435_200
KEY = Revocation("access_key", "ASIARTX3GSDSQAAAAAAA", 0, None)
OTHER_KEY = Revocation("access_key", "ASIARTX3GSDSQBBBBBBB", 0, None)
ORIGIN = "us-east-1/1/0000000000000001"


def seed(region: str) -> bytes:
    return region.encode().ljust(32)


@asynccontextmanager
async def replicator(path, *peers, known=None):
    """A replicator with peers that do not answer; what they say, a test says. `known` adds to the peer set."""
    clock = Clock()
    journal = await Journal.open(path / "journal.db")
    signer = Signer(b"s" * 32)
    nodes = {region: (seed(region), "http://127.0.0.1:1") for region in peers}
    more = known.records() if known is not None else ()
    known = provision.founders(Signer(b"r" * 32), {"us-east-1": (b"s" * 32, "http://127.0.0.1:1"), **nodes}, NOW)
    for record in more:
        known.take(record)
    membership = Membership(path, known, "us-east-1", signer.public_key, {})
    links = PeerLinks(Sealing(b"k" * 32, "us-east-1", signer, known))
    world = worlds.directory(worlds.materialise({"Accounts": [{"Id": "111122223333"}]}, entropy))
    view = View(
        region="us-east-1", issuer="", directory=world, keys=new_key_set(entropy, NOW),
        replica=Replica(
            Origin("us-east-1", "1", "0" * 16), (), NOW, signer=Signer(b"s" * 32), identities=Identities(b"k" * 32)
        ),
        revocations=RevocationSet(), entropy=entropy,
    )  # fmt: skip
    log = EventLog("us-east-1", "json", BytesIO())
    backbone = HttpBackbone(links, membership, SnapshotFiles(path / "snapshots"), lambda event, **members: None)
    running = Replicator(
        journal, backbone, view, clock, log, signer=signer, cluster_key=b"k" * 32, membership=membership
    )
    await running.restore(founding=True)
    running.start()
    try:
        yield running, view, journal, clock
    finally:
        await running.stop()
        await journal.close()
        log.close()


def revoked(view: View, now: float = NOW) -> bool:
    return view.revocations.check_key(KEY.subject, now) is not None


async def test_a_revocation_is_on_disk_and_enforced_when_it_is_recorded(tmp_path):
    async with replicator(tmp_path) as (running, view, journal, _):
        recorded = await running.revoke(KEY)
        assert (recorded.sequence, recorded.copies) == (1, 1)
        assert revoked(view)
        assert [(origin, first) for origin, first, _ in await journal.rows()] == [(str(recorded.origin), 1)]
    async with replicator(tmp_path) as (_, view, _, _):
        assert revoked(view)


async def test_revocations_that_wait_together_are_one_commit(tmp_path):
    async with replicator(tmp_path) as (running, _, journal, _):
        recorded = await asyncio.gather(*(running.revoke(KEY) for _ in range(20)))
        assert sorted(each.sequence for each in recorded) == list(range(1, 21))
        assert len(await journal.rows()) < 20


async def test_a_burst_of_large_revocations_is_several_commits_and_none_is_refused(tmp_path):
    large = Revocation("role", f"arn:aws:iam::111122223333:role/{'r' * 2_000}", NOW * 1000, None, "\U0001f511" * 256)
    async with replicator(tmp_path) as (running, _, journal, _):
        recorded = await asyncio.gather(*(running.revoke(large) for _ in range(400)))
        assert sorted(each.sequence for each in recorded) == list(range(1, 401))
        assert 1 < len(await journal.rows()) < 20


async def test_what_cannot_be_stored_is_refused_and_changes_nothing(tmp_path, monkeypatch):
    async with replicator(tmp_path) as (running, view, journal, _):

        async def full(row):
            raise JournalError("disk full")

        with monkeypatch.context() as broken:
            broken.setattr(journal, "append", full)
            with pytest.raises(ServiceUnavailable):
                await running.revoke(KEY)
        assert not revoked(view)
        assert await journal.rows() == []
        assert (await running.revoke(KEY)).sequence == 1


async def test_a_commit_that_reached_the_disk_although_it_failed_makes_a_new_incarnation(tmp_path, monkeypatch):
    async with replicator(tmp_path) as (running, view, journal, _):
        store = journal.append

        async def stores_and_fails(row):
            await store(row)
            raise JournalError("the answer was lost")

        with monkeypatch.context() as broken:
            broken.setattr(journal, "append", stores_and_fails)
            with pytest.raises(ServiceUnavailable):
                await running.revoke(Revocation("account", "111122223333", 1, None))
        before = view.replica.origin
        recorded = await running.revoke(KEY)
        assert recorded.origin != before
        assert recorded.sequence == 1
    async with replicator(tmp_path) as (_, view, _, _):
        assert revoked(view)


async def test_an_entry_does_not_replace_another_one(tmp_path):
    journal = await Journal.open(tmp_path / "journal.db")
    await journal.append((ORIGIN, 1, b"first"))
    with pytest.raises(JournalConflict):
        await journal.append((ORIGIN, 1, b"second"))
    await journal.keep([(ORIGIN, 1, b"first"), (ORIGIN, 2, b"next")])
    with pytest.raises(JournalConflict):
        await journal.keep([(ORIGIN, 3, b"third"), (ORIGIN, 2, b"of another history")], b"checkpoint")
    await journal.prune([(ORIGIN, 2, b"of another history")])
    assert await journal.rows() == [(ORIGIN, 1, b"first"), (ORIGIN, 2, b"next")]
    assert await journal.checkpoint() is None
    await journal.close()


async def test_a_journal_that_is_damaged_behind_its_first_page_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "journal.db"
    journal = await Journal.open(path)
    await journal.append((ORIGIN, 1, bytes(100_000)))
    await journal.close()
    with sqlite3.connect(path) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'batches'").fetchone()
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * page_bytes)
        file.write(b"\xff" * 16)
    journal = await Journal.open(path)
    with pytest.raises(ConfigError, match=r"not a readable journal .*; restore it, or move it away"):
        await journal.rows()
    await journal.close()


async def test_a_job_that_fails_in_an_unforeseen_way_is_told_and_begun_again(tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "BEGIN_AGAIN_S", 0.0)
    async with replicator(tmp_path) as (running, _, _, _):
        told = asyncio.Queue()
        monkeypatch.setattr(
            running._effects, "report", lambda event, **members: told.put_nowait({"event": event} | members)
        )
        with monkeypatch.context() as broken:
            broken.setattr(RevocationSet, "forget", lambda *_: {}["nobody foresaw this"])
            async with asyncio.timeout(10):
                assert await told.get() == {"event": "job_failed", "job": "Replicator._tick", "reason": "KeyError"}
        forgotten = asyncio.Event()
        monkeypatch.setattr(RevocationSet, "forget", lambda *_: forgotten.set())
        async with asyncio.timeout(10):
            await forgotten.wait()
        assert (await running.revoke(KEY)).sequence == 1


async def test_a_reset_forgets_everything_under_a_new_incarnation(tmp_path):
    async with replicator(tmp_path) as (running, view, journal, _):
        await running.revoke(KEY)
        before = view.replica.origin
        await running.reset(7)
        assert not revoked(view)
        assert await journal.rows() == []
        assert view.replica.origin != before
        await running.reset(7)
        assert view.replica.epoch == 7
    async with replicator(tmp_path) as (_, view, _, _):
        assert view.replica.epoch == 7
        assert not revoked(view)


async def test_a_clock_that_is_moved_there_and_back_forgets_nothing(tmp_path):
    async with replicator(tmp_path) as (running, view, _, clock):
        ends = Revocation("account", "111122223333", 1, int(clock.wall()) + 60)
        await running.revoke(ends)
        await running.move_clock(10 * 24 * 3600)
        assert len(view.revocations) == 0
        await running.move_clock(0)
        assert len(view.revocations) == 1


PEERS = ("ap-southeast-1", "eu-west-1")


async def acknowledge(running: Replicator, view: View, peer: str, after_s: float = 0.0) -> None:
    await asyncio.sleep(after_s)
    await running.conversation.take(peer, Ack(view.replica.epoch, view.replica.chained_heads()))


async def test_who_waits_for_all_is_answered_with_the_last_receipt(tmp_path):
    async with replicator(tmp_path, *PEERS) as (running, view, _, _):
        waiting = asyncio.create_task(running.revoke(KEY, 30))
        await acknowledge(running, view, PEERS[0], 0.1)
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await acknowledge(running, view, PEERS[1])
        recorded = await asyncio.wait_for(waiting, 1)
        assert (recorded.confirmed, recorded.lagging, recorded.copies) == (("us-east-1", *PEERS), (), 3)


async def test_who_waits_for_all_learns_after_that_time_who_lags(tmp_path):
    async with replicator(tmp_path, *PEERS) as (running, view, _, _):
        acknowledging = asyncio.create_task(acknowledge(running, view, PEERS[1], 0.05))
        began = asyncio.get_running_loop().time()
        recorded = await running.revoke(KEY, 0.5)
        assert 0.45 < asyncio.get_running_loop().time() - began < 2
        assert (recorded.confirmed, recorded.lagging) == (("us-east-1", PEERS[1]), (PEERS[0],))
        await acknowledging


async def test_who_does_not_wait_is_answered_with_the_first_receipt(tmp_path):
    async with replicator(tmp_path, *PEERS) as (running, view, _, _):
        waiting = asyncio.create_task(running.revoke(KEY))
        await acknowledge(running, view, PEERS[1], 0.05)
        recorded = await asyncio.wait_for(waiting, 0.2)
        assert (recorded.confirmed, recorded.lagging) == (("us-east-1", PEERS[1]), (PEERS[0],))


async def test_a_node_that_stops_keeps_nobody_waiting(tmp_path):
    async with replicator(tmp_path, *PEERS) as (running, view, _, _):
        waiting = asyncio.create_task(running.revoke(KEY, 30))
        await asyncio.sleep(0.3)
        assert revoked(view)
        await running.stop()
        recorded = await asyncio.wait_for(waiting, 1)
        assert recorded.lagging == PEERS


async def test_a_peer_never_heard_of_is_told_by_its_region(tmp_path):
    async with replicator(tmp_path, *PEERS) as (running, view, _, _):
        assert set(running.staleness()) == {*PEERS, str(view.replica.origin)}
        assert running.staleness()[str(view.replica.origin)] == 0


async def test_a_reset_keeps_nobody_waiting(tmp_path):
    async with replicator(tmp_path, *PEERS) as (running, _, _, _):
        waiting = asyncio.create_task(running.revoke(KEY, 30))
        await asyncio.sleep(0.3)
        await running.reset(7)
        assert (await asyncio.wait_for(waiting, 1)).lagging == PEERS


async def test_a_damaged_row_is_not_applied_but_removed_and_the_node_goes_on_as_another_disk(tmp_path):
    async with replicator(tmp_path) as (running, view, journal, _):
        await running.revoke(KEY)
        await running.revoke(OTHER_KEY)
        before = view.replica.origin
    change = "UPDATE batches SET body = CAST(replace(body, 'made_at\":', 'made_at\":1') AS BLOB) WHERE first = 1"
    damage(tmp_path / "journal.db", change)
    async with replicator(tmp_path) as (running, view, journal, _):
        assert not revoked(view)
        assert view.revocations.check_key(OTHER_KEY.subject, NOW) is not None
        assert view.replica.origin != before
        assert [first for origin, first, _ in await journal.rows() if origin == str(before)] == [2]
        assert view.replica.heads() == {view.replica.origin: 1}  # what was behind the gap is written again


async def test_what_is_written_again_goes_together_as_much_as_one_commit_holds(tmp_path):
    async with replicator(tmp_path) as (running, view, _, _):
        for number in range(20):
            await running.revoke(Revocation("access_key", f"ASIA{number:016}", 0, None))
        before = view.replica.origin
    damage(tmp_path / "journal.db", "UPDATE batches SET body = x'00' WHERE first = 1")
    async with replicator(tmp_path) as (_, view, journal, _):
        assert view.replica.heads() == {view.replica.origin: 19}
        assert [first for origin, first, _ in await journal.rows() if origin != str(before)] == [1]


async def test_a_cut_off_that_a_damaged_disk_writes_again_refuses_what_it_refused(tmp_path):
    """It is the same entry of the same region, so the allowance for clocks stays where it was."""
    role = "arn:aws:iam::111122223333:role/deep/build"
    instants_ms = (NOW * 1000 - 1, NOW * 1000, NOW * 1000 + EPSILON_MS - 1, NOW * 1000 + EPSILON_MS)

    def denied(view: View) -> list[list[bool]]:
        return [
            [bool(view.revocations.check(role_session(at, region), NOW)) for at in instants_ms]
            for region in ("us-east-1", "eu-west-1")
        ]

    async with replicator(tmp_path) as (running, view, _, _):
        await running.revoke(KEY)
        await running.revoke(Revocation("role", role, NOW * 1000, None))
        before, entry = denied(view), list(view.replica.seen())[1].entries
        assert before == [[True, False, False, False], [True, True, True, False]]
    damage(tmp_path / "journal.db", "UPDATE batches SET body = substr(body, 2) WHERE first = 1")
    for _ in range(2):
        async with replicator(tmp_path) as (_, view, _, _):
            (again,) = [batch for batch in view.replica.seen() if batch.origin == view.replica.origin]
            assert (again.entries, again.origin.region) == (entry, "us-east-1")
            assert denied(view) == before


async def test_a_fork_is_kept_and_stays_one_after_a_restart(tmp_path):
    foreign = Origin("eu-west-1", "1", "f" * 16)
    signer, identities = Signer(seed("eu-west-1")), Identities(b"k" * 32)
    announced = identities.announce(foreign, signer)
    one, two = (signed(Batch(foreign, 1, (entry,), 1.0), identities, signer) for entry in (b"one", b"two"))
    async with replicator(tmp_path, "eu-west-1") as (running, view, _, _):
        await running.conversation.take("eu-west-1", Digest(0, foreign, {}, {}, (announced,)))
        await running.conversation.take("eu-west-1", Delta(0, (one, two), "last"))
        assert view.replica.forks() == (Fork(foreign, one, two),)
    async with replicator(tmp_path, "eu-west-1") as (_, view, _, _):
        assert view.replica.forks() == (Fork(foreign, one, two),)
        assert view.replica.identities[foreign] == signer.public_key


async def test_a_snapshot_of_a_forked_log_has_an_end(tmp_path):
    """The proof comes with every answer, as often as somebody asks."""
    async with replicator(tmp_path) as (running, view, _, _):
        await running.revoke(KEY)
        (genuine,) = view.replica.seen()
        other = signed(replace(genuine, entries=(b"other",)), view.replica.identities, Signer(b"s" * 32))
        await running.conversation.deliver("eu-west-1", Delta(0, (other,), "last"))
        assert len(view.replica.forks()) == 1
        async with asyncio.timeout(5):
            await running.snapshots.put()
        assert len(list((tmp_path / "snapshots").iterdir())) == 1


async def test_what_was_being_stored_when_its_carrier_ended_is_stored_with_the_next_tick(tmp_path, monkeypatch):
    foreign = Origin("eu-west-1", "1", "f" * 16)
    signer, identities = Signer(seed("eu-west-1")), Identities(b"k" * 32)
    batch = signed(Batch(foreign, 1, (b"entry",), 1.0), identities, signer)
    delta = Delta(0, (batch,), "last", (identities.announce(foreign, signer),))
    async with replicator(tmp_path, "eu-west-1") as (running, view, journal, _):
        keep, begun = journal.keep, asyncio.Event()

        async def hangs(rows, checkpoint=None):
            if not rows:
                return await keep(rows, checkpoint)
            begun.set()
            return await asyncio.Event().wait()

        with monkeypatch.context() as slow:
            slow.setattr(journal, "keep", hangs)
            delivering = asyncio.create_task(running.conversation.deliver("eu-west-1", delta))
            await begun.wait()
            delivering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await delivering
        assert (view.replica.has(batch), view.replica.heads()) == (True, {})
        async with asyncio.timeout(20):
            while view.replica.heads() != {foreign: 1}:  # noqa: ASYNC110  the tick tells nobody
                await asyncio.sleep(0.02)
        assert [(origin, first) for origin, first, _ in await journal.rows()] == [(str(foreign), 1)]


async def test_half_a_transaction_is_not_committed_with_the_next_one(tmp_path, monkeypatch):
    journal = await Journal.open(tmp_path / "journal.db")
    begun = asyncio.Event()

    async def hangs():
        begun.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as slow:
        slow.setattr(journal._connection, "commit", hangs)
        keeping = asyncio.create_task(journal.keep([(ORIGIN, 1, b"body")]))
        await begun.wait()
        keeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeping
    await journal.set_meta(alive_at="1")
    assert await journal.rows() == []
    await journal.close()


async def test_a_journal_of_format_1_is_refused_with_what_to_do(tmp_path):
    async with replicator(tmp_path):
        pass
    damage(tmp_path / "journal.db", "UPDATE meta SET value = '1' WHERE name = 'format'")
    with pytest.raises(ConfigError, match=r"a journal of format 1, .* move the file away"):
        await Journal.open(tmp_path / "journal.db")


def damage(path, sql):
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(sql)
    connection.close()


def signed(batch, identities, signer):
    batch = replace(batch, previous=identities.genesis(batch.origin))
    batch = replace(batch, chain=chain_of(batch))
    return replace(batch, signature=signer.sign(identities.batch_content(batch)))


async def test_a_revocation_of_a_later_version_is_kept_told_on_counted_and_reported_and_refuses_nobody(
    tmp_path, monkeypatch
):
    events = []
    monkeypatch.setattr(EventLog, "emit", lambda self, at, event: events.append(event))
    later = Revocation("of-a-later-version", KEY.subject, 0, None)

    def reported() -> list[dict]:
        return [one for one in events if isinstance(one, dict) and one["event"] == "revocations_of_unknown_kind"]

    async with replicator(tmp_path) as (running, view, journal, _):
        recorded = await running.revoke(later)
        assert (view.revocations.unknown, revoked(view)) == (1, False)
        assert [(one["origin"], one["sequence"], one["count"]) for one in reported()] == [(str(recorded.origin), 1, 1)]
        [told_on] = view.replica.after({recorded.origin: 0})
        assert len(await journal.rows()) == len(told_on.entries) == 1
        await running.revoke(KEY)
        assert revoked(view)
    events.clear()
    async with replicator(tmp_path) as (_, view, _, _):  # and again after each start, until a version knows it
        assert (view.revocations.unknown, len(reported())) == (1, 1)
