"""The simulator has to be able to fail: each of these bugs must be caught within 100 seeds, by the named invariant."""

from dataclasses import replace
from math import inf

import pytest

from cluster.sim.client import SESSION_S_MAX
from cluster.sim.invariants import InvariantBroken
from cluster.sim.kinds import Kinds
from cluster.sim.node import SimNode
from cluster.sim.world import World
from stsd.revocation.entries import decode_revocation
from stsd.revocation.freshness import Freshness
from stsd.revocation.identity import Identities, chain_of
from stsd.revocation.log import Log
from stsd.revocation.messages import Ack, Checkpoint, Floor, Head, Ready
from stsd.revocation.peer_set import PeerSet
from stsd.revocation.pruning import Pruning
from stsd.revocation.replica import Replica
from stsd.revocation.revocation_set import RevocationSet

SEEDS = 100
TROUBLED_S = 30.0


class AnswersBeforeSync(SimNode):
    def save_own(self, process, batch):
        self.acknowledge(process.saving, ())
        super().save_own(process, batch)


class SendsBeforeSync(SimNode):
    def save(self, process, ready):
        self.send(process.replica.saved(ready, self.now))
        super().save(process, ready)


class PushesBeforeSync(SimNode):
    def save_own(self, process, batch):
        self.act(process.replica.committed(batch, self.now))
        process.saving = []
        self.disk.write([batch], lambda ok: None)


class TakesAFailedSaveForADoneOne(SimNode):
    def stored_own(self, process, batch, ok):
        super().stored_own(process, batch, True)


class KeepsItsIncarnationOnAnEmptyDisk(SimNode):
    incarnation = ""

    def start(self):
        self.disk.incarnation = self.incarnation
        super().start()
        self.incarnation = self.disk.incarnation


class AppliesDamagedRows(SimNode):
    def damaged_rows(self):
        return []


class GoesOnAfterDamage(SimNode):
    """Under the same incarnation, as if its disk still held all that it told."""

    def renew(self, process):
        process.replica.overtaken = False


class BelievesAnyBatch(Replica):
    def _fault_of_batch(self, batch):
        return ""


class ChecksTheChainAndNoSignature(Replica):
    def _fault_of_batch(self, batch):
        return "" if chain_of(batch) == batch.chain else "bad_chain"


class BelievesAnyHeartbeat(Replica):
    def _fault_of_heartbeat(self, origin, heartbeat):
        return ""


class AdmitsAnyKey(Identities):
    def admit(self, announced):
        if announced.origin in self:
            return "known"
        self._announced[announced.origin] = announced
        return "new"


class TakesTheLatestKey(Identities):
    def admit(self, announced):
        if self._announced.get(announced.origin) == announced:
            return "known"
        self._announced[announced.origin] = announced
        return "new"


class CountingLog(Log):
    """Knows no duplicates: every batch that comes makes the log longer."""

    def take(self, batch):
        super().take(batch)
        self.applied += len(batch.entries)
        return "new"

    def saved(self, batch):
        self.head += len(batch.entries)

    def chained_head(self):
        return Head(self.head, self._chains.get(self.head, bytes(32)))


class HasNoDuplicateFilter(Replica):
    def _log(self, origin):
        return self._logs.setdefault(origin, CountingLog(origin, self.identities.genesis(origin)))


class HasNoAntiEntropy(Replica):
    def _ask(self, peer, now):
        return ()


class AsksOnceForEver(Replica):
    def _ask(self, peer, now):
        asks = super()._ask(peer, now)
        self._repair._waits = lambda origin, now: origin in self._repair.asked
        return asks


class AppliesOnlyInOrder(Replica):
    def receive(self, peer, message, now):
        ready = super().receive(peer, message, now)
        in_order = [batch for batch in ready.applied if batch.last <= self._log(batch.origin).applied]
        return replace(ready, applied=tuple(in_order))


class ReusesSequencesAfterACrash(Replica):
    def restore(self, rows, *beside, **damage):
        return super().restore([batch for batch in rows if batch.origin != self.origin], *beside, **damage)


class ForgetsToApplyItsJournal(Replica):
    def restore(self, rows, *beside, **damage):
        super().restore(rows, *beside, **damage)
        return ()


class TellsTheHighestSequenceAsItsHead(Replica):
    def heads(self):
        return {origin: log._batches[log._firsts[-1]].last for origin, log in self._logs.items() if log._firsts}


class GivesReceiptsForWhatItHasSeen(Replica):
    def _receipt(self, peer, batches):
        return (
            ((peer, Ack(self.epoch, {batch.origin: Head(batch.last, batch.chain) for batch in batches})),)
            if batches
            else ()
        )


class CountsEveryHeartbeat(Freshness):
    def note(self, origin, heartbeat, log):
        super().note(origin, heartbeat, log)
        self._counted_at[origin] = self._newest[origin].at


class CallsItselfFreshTooEarly(Replica):
    def __init__(self, origin, peers, now, **options):
        super().__init__(origin, peers, now, **options)
        self._freshness = CountsEveryHeartbeat(peers, now, self.identities.has_left)


class HonoursEveryRevocationToken(Replica):
    def fresh_enough(self, text):
        return True


class AllowsForNoSkew(RevocationSet):
    def add(self, revocation, origin_region, now):
        super().add(revocation, "anywhere", now)

    def check(self, session, now):
        return super().check(replace(session, region="anywhere"), now)


class AllowsForSkewAtHome(RevocationSet):
    def add(self, revocation, origin_region, now):
        super().add(revocation, "elsewhere", now)


class LetsTheLastWriterWin(RevocationSet):
    def add(self, revocation, origin_region, now):
        self._revoked.get(revocation.kind, {}).pop(revocation.subject, None)
        super().add(revocation, origin_region, now)


class ForgetsEarly(RevocationSet):
    def check(self, session, now):
        return super().check(session, now + SESSION_S_MAX)


class PrunesWhatIsInForce(Pruning):
    """Whatever is older than the tail."""

    def _batch_over_at(self, batch):
        return batch.made_at + self.tail_s


class ForgetsDescendants(Pruning):
    """Takes a revocation for over when the token that it names has expired."""

    def _batch_over_at(self, batch):
        until = [decode_revocation(entry).applies_until for entry in batch.entries]
        return inf if None in until else max(until)


class ForgetsKeysThatLiveForEver(Pruning):
    def _batch_over_at(self, batch):
        until = [decode_revocation(entry).applies_until or 0 for entry in batch.entries]
        return max(until) + SESSION_S_MAX * 3


class LooksAtTheFirstEntryOnly(Pruning):
    def _batch_over_at(self, batch):
        return self.over_at(batch.entries[0])


class AdoptsAFloorAtOnce(Log):
    """Without what is kept below it."""

    def claim(self, maker, made_at, floor):
        super().claim(maker, made_at, Floor(floor.head))


class CountsAnAdoptionBeforeItIsSaved(Log):
    def adopt(self, limit=inf):
        adopted = super().adopt(limit)
        if adopted:
            self._unsaved.clear()
            self.saved_floor(self.floor.sequence)
        return adopted


class TellsNothingOfWhatItKeeps(Log):
    def after(self, sequence):
        return super().after(max(sequence, self.floor.sequence))


def with_log(kind):
    """A replica whose logs are of another kind."""

    class Planted(Replica):
        def _log(self, origin):
            return self._logs.setdefault(origin, kind(origin, self.identities.genesis(origin)))

    Planted.__name__ = kind.__name__
    return Planted


class BelievesAnyCheckpoint(Replica):
    def _believe(self, peer, checkpoint, now):
        self._claim(checkpoint)
        adopted = self._adopt(checkpoint.floors, now)
        return Ready(adopted=adopted, answer_to=peer if adopted else "")


class SendsNoCheckpoint(Replica):
    def _answers(self, after):
        return (answer for answer in super()._answers(after) if not isinstance(answer, Checkpoint))


class ForgetsItsFloors(Replica):
    def restore(self, rows, forks=(), checkpoint=None, **damage):
        return super().restore(rows, forks, None, **damage)


class NeverStoresWhatItAdopts(Replica):
    def _believe(self, peer, checkpoint, now):
        ready = super()._believe(peer, checkpoint, now)
        return replace(ready, adopted={}, answer_to="")


class DeletesBeforeTheCheckpointIsStored(SimNode):
    def store_pruned(self, process, pruned):
        self.disk.write((), lambda ok: None, gone=pruned.dropped)


class LosesWhatItCannotWriteAnew(Replica):
    def orphans(self, now):
        return ()


class StillBelievesWhoLeft(PeerSet):
    """As if there were no limit; it is not called any more, and that is all."""

    def limit(self, origin, public_key):
        return None


class FirstLeavingHeadsCount(PeerSet):
    """A later record on who left changes nothing, whatever it knows."""

    def take(self, record):
        before = dict(self._left)
        result = super().take(record)
        self._left.update(before)
        return result

    def copy(self):
        other = FirstLeavingHeadsCount(self.root_key)
        other._records, other._peers, other._left = dict(self._records), dict(self._peers), dict(self._left)
        return other


class CutsNoLog(Replica):
    def regroup(self, peers, now):
        super().regroup(peers, now)
        return ()


class SaysNothingAnew(SimNode):
    def adopt(self, process):
        pass


class SaysACutOffAnewWithoutItsHome(SimNode):
    """As if it had been asked for in this region, by this region's clock."""

    def in_own_words(self, entry, region):
        return entry


class DropsARowBeforeItIsSaidAnew(SimNode):
    def adopt(self, process):
        self.disk.write((), lambda ok: None, gone=process.beyond[:1])
        super().adopt(process)


class TakesLateBatchesOfWhoLeft(Replica):
    """Beyond the limit, when somebody who has not heard of it yet answers."""

    def _fault_of_batch(self, batch):
        fault = super()._fault_of_batch(batch)
        return "" if fault == "left" else fault


class LeavesWhatIsBehindAGap(Replica):
    def stranded(self, now):
        return ()


class ReadyBeforeItHasCaughtUp(Replica):
    def __init__(self, origin, peers, now, **options):
        super().__init__(origin, peers, now, **{**options, "joined": True})


class ReadyWhenItHasHeardOfAnybody(Replica):
    def _compare(self, peer, digest, now):
        self.joined = True
        return super()._compare(peer, digest, now)


class JoinsUnderItsPredecessorsIncarnation(SimNode):
    def start(self):
        former = [node for node in self.world.nodes.values() if node.region == self.region and node is not self]
        self.disk.incarnation = self.disk.incarnation or next((node.disk.incarnation for node in former), "")
        super().start()


class KeepsNoPeerSet(SimNode):
    """After a crash it knows the peers that it had when it came."""

    first: tuple[bytes, ...] = ()

    def start(self):
        self.first = self.first or self.disk.records
        self.disk.records = self.first
        super().start()


class TellsNobodyOfThePeerSet(SimNode):
    def tell_what_it_knows(self, process):
        pass


class WaitsForWhoLeft(Replica):
    def __init__(self, origin, peers, now, **options):
        super().__init__(origin, peers, now, **options)
        self._freshness = Freshness(peers, now, lambda origin: False)


class TellsNobodyOfAFork(Log):
    def told_head(self):
        return self.chained_head()


class KeepsItsFloorWhenItCutsALog(Log):
    def cut(self, limit):
        return self.take_back(tuple(batch for batch in self.seen() if batch.last > self.certain(limit)))


class LeavesWhatIsInDoubt(Replica):
    """To the author of the forked log, which lost its disk too."""

    def _unsaid(self, now):
        return ()


BUGS = [
    (Kinds(node=AnswersBeforeSync), {1}),
    (Kinds(node=SendsBeforeSync), {1, 2, 3, 8}),
    (Kinds(node=PushesBeforeSync), {8}),
    (Kinds(node=TakesAFailedSaveForADoneOne), {8}),
    (Kinds(node=KeepsItsIncarnationOnAnEmptyDisk), {5, 8}),
    (Kinds(node=AppliesDamagedRows), {4, 11}),
    (Kinds(node=GoesOnAfterDamage), {1, 3, 5, 8}),
    (Kinds(replica=BelievesAnyBatch), {11}),
    (Kinds(replica=ChecksTheChainAndNoSignature), {11}),
    (Kinds(replica=BelievesAnyHeartbeat), {11}),
    (Kinds(identities=AdmitsAnyKey), {11}),
    (Kinds(identities=TakesTheLatestKey), {11}),
    (Kinds(replica=HasNoDuplicateFilter), {2, 3, 8}),
    (Kinds(replica=HasNoAntiEntropy), {3}),
    (Kinds(replica=AsksOnceForEver), {3}),
    (Kinds(replica=AppliesOnlyInOrder), {4}),
    (Kinds(replica=ReusesSequencesAfterACrash), {8}),
    (Kinds(replica=ForgetsToApplyItsJournal), {4, 6}),
    (Kinds(replica=TellsTheHighestSequenceAsItsHead), {2}),
    (Kinds(replica=GivesReceiptsForWhatItHasSeen), {1}),
    (Kinds(replica=CallsItselfFreshTooEarly), {5}),
    (Kinds(replica=HonoursEveryRevocationToken), {4}),
    (Kinds(revocations=AllowsForNoSkew), {4, 7}),
    (Kinds(revocations=AllowsForSkewAtHome), {7}),
    (Kinds(revocations=LetsTheLastWriterWin), {4, 6}),
    (Kinds(revocations=ForgetsEarly), {4, 6}),
    (Kinds(pruning=PrunesWhatIsInForce), {1, 2, 4, 5, 6}),
    (Kinds(pruning=ForgetsDescendants), {1, 2, 4, 5, 6}),
    (Kinds(pruning=ForgetsKeysThatLiveForEver), {1, 2, 4, 5, 6}),
    (Kinds(pruning=LooksAtTheFirstEntryOnly), {1, 2, 4, 5, 6}),
    (Kinds(replica=with_log(AdoptsAFloorAtOnce)), {1, 2, 5}),
    (Kinds(replica=with_log(CountsAnAdoptionBeforeItIsSaved)), {2, 3, 8}),
    (Kinds(replica=with_log(TellsNothingOfWhatItKeeps)), {3}),
    (Kinds(replica=BelievesAnyCheckpoint), {11}),
    (Kinds(replica=SendsNoCheckpoint), {3}),
    (Kinds(replica=ForgetsItsFloors), {3, 5, 8}),
    (Kinds(replica=NeverStoresWhatItAdopts), {3}),
    (Kinds(node=DeletesBeforeTheCheckpointIsStored), {2, 3, 5, 8}),
    (Kinds(replica=LosesWhatItCannotWriteAnew), {1}),
    (Kinds(peer_set=StillBelievesWhoLeft), {3, 5, 11}),
    (Kinds(peer_set=FirstLeavingHeadsCount), {3}),
    (Kinds(replica=CutsNoLog), {1, 3, 11}),
    (Kinds(node=SaysNothingAnew), {1}),
    (Kinds(node=SaysACutOffAnewWithoutItsHome), {4, 7}),
    (Kinds(node=DropsARowBeforeItIsSaidAnew), {1}),
    (Kinds(replica=TakesLateBatchesOfWhoLeft), {11}),
    (Kinds(replica=LeavesWhatIsBehindAGap), {1}),
    (Kinds(replica=ReadyBeforeItHasCaughtUp), {5}),
    (Kinds(replica=ReadyWhenItHasHeardOfAnybody), {5}),
    (Kinds(node=JoinsUnderItsPredecessorsIncarnation), {3, 5, 8}),
    (Kinds(node=KeepsNoPeerSet), {1, 3, 5}),
    (Kinds(node=TellsNobodyOfThePeerSet), {3}),
    (Kinds(replica=WaitsForWhoLeft), {5}),
    (Kinds(replica=with_log(TellsNobodyOfAFork)), {1, 3, 4}),
    (Kinds(replica=with_log(KeepsItsFloorWhenItCutsALog)), {2, 3}),
    (Kinds(replica=LeavesWhatIsInDoubt), {1}),
]


SIZES = {FirstLeavingHeadsCount: 5, LeavesWhatIsBehindAGap: 4}
"""Where a bug needs more nodes than usual: for two that do not hear each other to remove a third one, and for more
nodes to be removed."""


def name(kinds) -> str:
    default = Kinds()
    planted = [kinds.node, kinds.replica, kinds.revocations, kinds.identities, kinds.pruning, kinds.peer_set]
    usual = [default.node, default.replica, default.revocations, default.identities, default.pruning, default.peer_set]
    return next(kind.__name__ for kind, known in zip(planted, usual, strict=True) if kind is not known)


def first_broken(kinds: Kinds) -> InvariantBroken:
    """What the simulator says about these nodes."""
    for seed in range(SEEDS):
        world = World(
            seed, size=SIZES.get(kinds.peer_set, SIZES.get(kinds.replica, 3)), kinds=kinds, replay="replay the seed"
        )
        try:
            world.run(until=TROUBLED_S)
            world.heal()
            world.eventually_all_agree()
        except InvariantBroken as broken:
            return broken
    pytest.fail(f"not caught in {SEEDS} seeds")


@pytest.mark.parametrize(("kinds", "invariants"), BUGS, ids=[name(kinds) for kinds, _ in BUGS])
def test_the_simulator_catches_a_node_that(kinds, invariants):
    broken = first_broken(kinds)
    assert broken.number in invariants, str(broken)
    assert "to see it again: replay the seed" in str(broken)
