"""Bad luck for a simulated world: each fault begins at a node, and gives what ends it, or None if it cannot begin now.

Besides these, a crash may tear the last record and flip a bit (disk), and a malicious relay forges, drops, repeats and
flips bits (network, relay). A fault ends by itself after a while, or when the world heals.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from cluster.sim import client
from cluster.sim.network import STORM, USUAL
from cluster.sim.peer_faults import join, remove, remove_behind_a_gap, remove_while_cut_off, replace
from cluster.sim.scheduler import Undo
from stsd.revocation.identity import chain_of
from stsd.revocation.messages import Batch, Delta
from stsd.revocation.replica import whole

if TYPE_CHECKING:
    from cluster.sim.node import SimNode
    from cluster.sim.world import World

ENOUGH_TO_SAY = 2
"""Entries that a node has written, before a thief of its key says them in another order."""
SWIZZLE_S = 1.0
"""Between two steps of a swizzle, on average."""


def cut_one_way(world: World, node: SimNode) -> Undo | None:
    """Nothing gets from this node to one other."""
    return world.cut([(node.name, world.other(node))])


def cut_both_ways(world: World, node: SimNode) -> Undo | None:
    """Two nodes do not hear each other."""
    other = world.other(node)
    return world.cut([(node.name, other), (other, node.name)])


def isolate(world: World, node: SimNode) -> Undo | None:
    """A node and all others do not hear each other."""
    others = [name for name in world.names if name != node.name]
    return world.cut([link for name in others for link in ((node.name, name), (name, node.name))])


def storm(world: World, node: SimNode) -> Undo | None:
    """Heavy loss, duplicates and reordering on all links."""
    world.network.weather = STORM
    return lambda: setattr(world.network, "weather", USUAL)


def crash(world: World, node: SimNode) -> Undo | None:
    """kill -9, and a start some time later."""
    if node.process is None:
        return None
    node.crash()
    return lambda: world.start(node)


def crash_while_writing(world: World, node: SimNode) -> Undo | None:
    """kill -9 while a slow disk has much to sync: what was not synced is lost from some point on, a record torn."""
    process = node.process
    if process is None:
        return None
    node.disk.slow = True

    def stop() -> None:
        if node.process is process and node.disk.slow:
            node.crash()

    def start() -> None:
        node.disk.recover()
        world.start(node)

    world.scheduler.after(world.scheduler.random.random(), stop)
    return start


def lose_disk(world: World, node: SimNode) -> Undo | None:
    """A crash that takes the disk with the journal; once in a world, and never the last disk that has caught up. The
    machine goes on with its identity key."""
    once = not node.removed and not any(other.wiped for other in world.nodes.values())
    if node.process is None or not once or not any(other.serving for other in world.in_cluster if other is not node):
        return None
    node.crash()
    node.disk.empty()
    node.wiped = True
    world.checks.starts_anew(node)
    return lambda: world.start(node)


def malicious_relay(world: World, node: SimNode) -> Undo | None:
    """Everything passes a relay that forges and repeats."""
    world.network.evil = True
    return lambda: setattr(world.network, "evil", False)


def slow_disk(world: World, node: SimNode) -> Undo | None:
    """Each sync takes most of a second."""
    node.disk.slow = True
    return node.disk.recover


def full_disk(world: World, node: SimNode) -> Undo | None:
    """Nothing can be stored."""
    node.disk.full = True
    return node.disk.recover


def swizzle(world: World, node: SimNode) -> Undo | None:
    """Some nodes are cut off one after the other, and come back in another order (FoundationDB's swizzle-clogging)."""
    chance = world.scheduler.random
    clogged = chance.sample(world.names, chance.randint(2, len(world.names)))
    for number, name in enumerate(clogged):
        world.scheduler.after(number * SWIZZLE_S * chance.random(), partial(_clog, world, name))
    chance.shuffle(clogged)
    return partial(_unclog_in_turn, world, clogged)


def _clog(world: World, name: str) -> None:
    """Unless the world has healed meanwhile."""
    undo = isolate(world, world.nodes[name]) if world.troubled else None
    if undo is not None:
        world.clogs.setdefault(name, []).append(undo)


def _unclog_in_turn(world: World, names: list[str]) -> None:
    for number, name in enumerate(names):
        delay_s = number * SWIZZLE_S * world.scheduler.random.random() if world.troubled else 0.0
        world.scheduler.after(delay_s, partial(_unclog, world, name))


def _unclog(world: World, name: str) -> None:
    for undo in world.clogs.pop(name, []):
        undo()


def step_clock(world: World, node: SimNode) -> Undo | None:
    """A clock jumps, forwards or back, within what nodes allow for."""
    before, node.skew_s = node.skew_s, world.scheduler.random.uniform(-world.skew_s_max, world.skew_s_max)
    return partial(setattr, node, "skew_s", before)


def older_version(world: World, node: SimNode) -> Undo | None:
    """A node is started with a version that does not know one kind of revocation, nor checkpoints; later upgraded."""
    if node.process is None or node.unknown_kinds:
        return None
    node.unknown_kinds = frozenset({world.scheduler.random.choice(sorted(client.RULES))})
    _start_again(world, node)

    def upgrade() -> None:
        node.unknown_kinds = frozenset()
        _start_again(world, node)

    return upgrade


def _start_again(world: World, node: SimNode) -> None:
    if node.process is not None:
        node.crash()
        world.start(node)


def stale_snapshot(world: World, node: SimNode) -> Undo | None:
    """Somebody repeats old checkpoints to a node, again and again."""
    world.network.stale_for.append(node.name)
    return partial(world.network.stale_for.remove, node.name)


def steal_key(world: World, node: SimNode) -> Undo | None:
    """Somebody has a node's identity key, and hands another history of it to some of the others, or to all. It says
    what the node itself was asked for at other times, so that what is denied can be explained."""
    forged = _another_history(world, node)
    if forged is None:
        return None
    _tell_some(world, node, forged)
    return lambda: None


def steal_key_and_disk(world: World, node: SimNode) -> Undo | None:
    """The same of a node whose disk is gone too: it has no word to say against the thief's."""
    forged = _another_history(world, node)
    undo = None if forged is None else lose_disk(world, node)
    if forged is not None and undo is not None:
        _tell_some(world, node, forged)
    return undo


def _another_history(world: World, node: SimNode) -> Batch | None:
    """A batch in the place of one that a node has written, signed with its key."""
    own = [batch for batch in node.disk.rows.values() if batch.origin == node.writes_as and whole(batch)]
    told = [entry for batch in own for entry in batch.entries]
    if node.removed or node.process is None or len(told) < ENOUGH_TO_SAY or not _others(world, node):
        return None
    chance = world.scheduler.random
    genuine = chance.choice(own)
    entries = (chance.choice([entry for entry in told if (entry,) != genuine.entries]),)
    forged = dataclasses.replace(genuine, entries=entries)
    forged = dataclasses.replace(forged, chain=chain_of(forged))
    content = node.process.replica.identities.batch_content(forged)
    return dataclasses.replace(forged, signature=node.signer.sign(content))


def _tell_some(world: World, node: SimNode, forged: Batch) -> None:
    chance, others = world.scheduler.random, _others(world, node)
    world.checks.forks(forged)
    for victim in chance.sample(others, chance.randint(1, len(others))):
        victim.receive(node.name, Delta(0, (forged,)))


def _others(world: World, node: SimNode) -> list[SimNode]:
    return [each for each in world.in_cluster if each is not node and each.process is not None]


FAULTS: tuple[Callable[[World, SimNode], Undo | None], ...] = (
    cut_one_way,
    cut_both_ways,
    isolate,
    storm,
    crash,
    crash_while_writing,
    lose_disk,
    malicious_relay,
    slow_disk,
    full_disk,
    swizzle,
    step_clock,
    older_version,
    stale_snapshot,
    remove,
    remove_while_cut_off,
    remove_behind_a_gap,
    join,
    replace,
    steal_key,
    steal_key_and_disk,
)
