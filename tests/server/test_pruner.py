"""Pruning of a journal that is in use: real files, real transactions."""

from __future__ import annotations

import asyncio
from time import time

import pytest

from cluster.beside import beside
from stsd.revocation import entries
from stsd.revocation.identity import Identities, Signer
from stsd.revocation.messages import Ack, Batch, Delta, Origin
from stsd.revocation.revocation_set import Revocation
from stsd.server import replication, rows
from stsd.server.journal import JournalError
from stsd.server.pruner import Pruner
from tests.server.test_replication import KEY, damage, replicator, revoked, seed, signed

ENDED = [Revocation("access_key", f"ASIARTX3GSDSQ{number:07d}", 0, 1) for number in range(5)]
AGES_S = 100 * 24 * 3600


async def one_round(running, view, journal, clock) -> int:
    """Prune as the node does, long after everything was written; how many batches went."""
    told = []
    await Pruner(journal, view, LateClock(clock), running._storing, told.append).round()
    return sum(told)


class LateClock:
    """A node's clock, ages later."""

    def __init__(self, clock):
        self._clock = clock

    def wall(self):
        return self._clock.wall() + AGES_S

    service = wall


async def test_what_has_ended_leaves_the_journal_and_a_restart_knows_where_the_log_begins(tmp_path):
    async with replicator(tmp_path) as (running, view, journal, clock):
        for revocation in (*ENDED, KEY, ENDED[0]):
            await running.revoke(revocation)
        assert await one_round(running, view, journal, clock) == 5
        assert [first for _, first, _ in await journal.rows()] == [6, 7]  # the last one is the proof of this history
        assert (await running.revoke(KEY)).sequence == 8
        heads, floors = view.replica.chained_heads(), view.replica.checkpoint().floors
    async with replicator(tmp_path) as (running, view, _, _):
        assert view.replica.chained_heads() == heads
        assert view.replica.checkpoint().floors == floors
        assert revoked(view)
        assert (await running.revoke(KEY)).sequence == 9


async def test_rows_are_deleted_without_a_checkpoint_while_every_log_has_its_beginning(tmp_path):
    async with replicator(tmp_path) as (running, _view, journal, _clock):
        await running.revoke(ENDED[0])
        await running.revoke(KEY)
        await journal.prune((await journal.rows())[1:])
        assert [first for _, first, _ in await journal.rows()] == [1]
        assert await journal.checkpoint() is None


async def test_a_young_log_stays_whole_and_a_moved_service_clock_does_not_age_it(tmp_path):
    async with replicator(tmp_path) as (running, view, journal, clock):
        await running.revoke(ENDED[0])
        clock.offset_s = float(AGES_S)
        told = []
        await Pruner(journal, view, clock, running._storing, told.append).round()
        assert not told
        assert len(await journal.rows()) == 1


async def test_a_step_that_cannot_be_stored_is_taken_in_a_later_round(tmp_path, monkeypatch):
    async with replicator(tmp_path) as (running, view, journal, clock):
        await running.revoke(ENDED[0])
        await running.revoke(KEY)
        with monkeypatch.context() as broken:
            broken.setattr(journal, "prune", full)
            assert await one_round(running, view, journal, clock) == 0
        assert len(await journal.rows()) == 2
        assert await one_round(running, view, journal, clock) == 1
        assert [first for _, first, _ in await journal.rows()] == [2]


async def full(rows, checkpoint):
    raise JournalError("disk full")


class Neighbour:
    """Another node: one batch of its log that is over, behind a gap, and one of another history in the same place."""

    def __init__(self) -> None:
        origin, signer = Origin("eu-west-1", "1", "f" * 16), Signer(seed("eu-west-1"))
        identities = Identities(b"k" * 32)
        self.announced = (identities.announce(origin, signer),)
        self.over, self.other = (
            signed(Batch(origin, 2, (entries.encode_revocation(revocation),), time()), identities, signer)
            for revocation in (ENDED[0], KEY)
        )

    async def tells(self, running, batch: Batch) -> list[Ack]:
        """Its receipts."""
        sent = await running.conversation.take("eu-west-1", Delta(0, (batch,), "last", self.announced))
        return [message for _, message in sent if isinstance(message, Ack)]


async def test_what_another_history_has_in_the_place_of_a_row_is_promised_when_that_is_gone(tmp_path, monkeypatch):
    neighbour = Neighbour()
    async with replicator(tmp_path, "eu-west-1") as (running, view, journal, clock):
        assert await neighbour.tells(running, neighbour.over)
        with monkeypatch.context() as broken:
            broken.setattr(journal, "prune", full)
            assert await one_round(running, view, journal, clock) == 0
        assert not await neighbour.tells(running, neighbour.other)
        assert revoked(view)
        assert await journal.rows() == [rows.of_batch(neighbour.over)]
        assert await one_round(running, view, journal, clock) == 1
        async with asyncio.timeout(20):
            while await journal.rows() != [rows.of_batch(neighbour.other)]:  # noqa: ASYNC110  the tick tells nobody
                await asyncio.sleep(0.02)
        assert await neighbour.tells(running, neighbour.other)
        assert await one_round(running, view, journal, clock) == 0


async def test_what_was_forgotten_while_it_waited_for_the_disk_is_not_stored(tmp_path):
    neighbour = Neighbour()
    async with replicator(tmp_path, "eu-west-1") as (running, view, journal, _):
        async with running._storing:
            telling = asyncio.create_task(neighbour.tells(running, neighbour.over))
            async with asyncio.timeout(20):
                while not view.replica.has(neighbour.over):  # noqa: ASYNC110  the replica tells nobody
                    await asyncio.sleep(0)
            assert view.replica.prune(time()).dropped == (neighbour.over,)
        await telling
        assert await journal.rows() == []
        assert await neighbour.tells(running, neighbour.other)
        assert await journal.rows() == [rows.of_batch(neighbour.other)]


async def test_a_round_that_could_not_be_stored_does_not_wait_for_the_time_of_the_next_one(tmp_path, monkeypatch):
    monkeypatch.setattr("stsd.server.pruner.LOOK_INTERVAL_S", 0.01)
    tried, told = asyncio.Event(), asyncio.Queue()

    async def refuses(rows, checkpoint):
        tried.set()
        raise JournalError("disk full")

    async with replicator(tmp_path) as (running, view, journal, clock):
        await running.revoke(ENDED[0])
        await running.revoke(KEY)
        pruner = Pruner(journal, view, LateClock(clock), running._storing, told.put_nowait)
        async with asyncio.timeout(20), beside(pruner.run()):
            with monkeypatch.context() as broken:
                broken.setattr(journal, "prune", refuses)
                await tried.wait()
            assert await told.get() == 1


async def test_revocations_are_stored_while_a_long_round_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("stsd.server.pruner.PAUSE_S", 0)
    monkeypatch.setattr("stsd.revocation.replica.Replica.prune.__defaults__", (2,))
    async with replicator(tmp_path) as (running, view, journal, clock):
        for _ in range(8):
            for revocation in ENDED:
                await running.revoke(revocation)
        pruning = asyncio.create_task(one_round(running, view, journal, clock))
        sequences = [(await running.revoke(KEY)).sequence for _ in range(5)]
        assert sequences == [41, 42, 43, 44, 45]
        assert await pruning >= 40
        assert [first for _, first, _ in await journal.rows()] == sequences


async def test_a_node_prunes_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr("stsd.server.pruner.LOOK_INTERVAL_S", 0.01)
    monkeypatch.setattr("stsd.server.pruner.ROUND_INTERVAL_S", 0.0)  # a round may begin between the two
    monkeypatch.setattr(replication, "PRUNING", replication.Pruning(lambda entry: 0.0, 0.0))
    async with replicator(tmp_path) as (running, _, journal, _):
        await running.revoke(KEY)
        await running.revoke(KEY)
        for _ in range(1_000):
            if len(await journal.rows()) == 1:
                break
            await asyncio.sleep(0.01)
        assert [first for _, first, _ in await journal.rows()] == [2]
        assert await journal.checkpoint() is not None


@pytest.mark.parametrize("change", ["substr(body, 1, 40)", "CAST(replace(body, 'made_at\":', 'made_at\":1') AS BLOB)"])
async def test_a_damaged_checkpoint_is_told_removed_and_makes_a_new_incarnation(tmp_path, change):
    async with replicator(tmp_path) as (running, view, journal, clock):
        await running.revoke(ENDED[0])
        await running.revoke(KEY)
        assert await one_round(running, view, journal, clock) == 1
        before = view.replica.origin
    damage(tmp_path / "journal.db", f"UPDATE checkpoint SET body = {change}")
    async with replicator(tmp_path) as (running, view, journal, clock):
        assert revoked(view)
        assert view.replica.origin != before
        assert await journal.checkpoint() is None
        assert view.replica.heads() == {view.replica.origin: 1}  # what was behind the gap is written again
        assert await one_round(running, view, journal, clock) == 0
        assert await journal.checkpoint() is not None


async def test_a_journal_of_format_2_is_taken_over_and_loses_nothing(tmp_path):
    async with replicator(tmp_path) as (running, view, _, _):
        await running.revoke(KEY)
        heads = view.replica.chained_heads()
    damage(tmp_path / "journal.db", "UPDATE meta SET value = '2' WHERE name = 'format'")
    damage(tmp_path / "journal.db", "DROP TABLE checkpoint")
    damage(tmp_path / "journal.db", "DROP TABLE failed_codes")
    async with replicator(tmp_path) as (running, view, journal, clock):
        assert (await journal.meta())["format"] == "4"
        assert view.replica.chained_heads() == heads
        assert revoked(view)
        await running.revoke(ENDED[0])
        await running.revoke(ENDED[1])
        assert await one_round(running, view, journal, clock) == 1


async def test_a_reset_forgets_the_checkpoint(tmp_path):
    async with replicator(tmp_path) as (running, view, journal, clock):
        await running.revoke(ENDED[0])
        await one_round(running, view, journal, clock)
        await running.reset(5)
        assert await journal.checkpoint() is None
        assert view.replica.checkpoint() is None
