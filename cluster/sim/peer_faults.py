"""Bad luck with who belongs to the cluster: nodes are removed at bad moments, replaced, and join (faults)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cluster.sim.scheduler import Undo
from stsd.revocation.messages import Delta

if TYPE_CHECKING:
    from cluster.sim.node import SimNode
    from cluster.sim.world import World

MEMBERS_LEFT = 2
"""No fault leaves fewer."""
REMOVED_AFTER_S = 1.5
"""How long two nodes are cut off before one of them is removed, on average."""


def remove(world: World, node: SimNode, ask: SimNode | None = None) -> Undo | None:
    """The operator removes a node, whatever it can reach; some time later the machine is switched off."""
    return _remove(world, node, ask) if node.removed or len(world.operator.members) > MEMBERS_LEFT else None


def remove_while_cut_off(world: World, node: SimNode) -> Undo | None:
    """Two nodes are cut off from the others, and hear each other; then one of them is removed, and perhaps once more
    by the side that has heard more of it. What it told the other one meanwhile is beyond its limit, and an answer with
    it, to somebody who asked long ago, arrives when all know the limit."""
    if node.removed or len(world.operator.members) <= MEMBERS_LEFT:
        return None
    companion = world.other(node)
    pair, others = (node.name, companion), [name for name in world.names if name not in (node.name, companion)]
    mend = world.cut([link for name in others for one in pair for link in ((name, one), (one, name))])
    switch_off: list[Undo] = []
    answers: list[Delta] = []

    def leave() -> None:
        undo = remove(world, node) if world.troubled and not node.retired else None
        if undo is not None:
            switch_off.append(undo)
            answers.extend(_all_told(world.nodes[companion], node))

    for _ in range(2):
        world.scheduler.after(world.scheduler.soon(REMOVED_AFTER_S), leave)

    def end() -> None:
        mend()
        for answer in answers:
            world.network.carry_late(companion, world.scheduler.random.choice(others), answer)
        for undo in switch_off:
            undo()

    return end


def remove_behind_a_gap(world: World, node: SimNode) -> Undo | None:
    """A node is cut off. Then one other hears it, and is not heard: what that gets now stands behind a gap. Then the
    node is removed with the heads that the other one knows, so that nobody can fill the gap."""
    if node.removed or len(world.operator.members) <= MEMBERS_LEFT:
        return None
    companion = world.other(node)
    there = (node.name, companion)
    others = [name for name in world.names if name not in there]
    links = [link for name in others for link in ((name, node.name), (node.name, name))]
    undo = [world.cut([there]), world.cut([(companion, node.name), *links])]
    mend = undo[0]

    def hear() -> None:
        if mend in undo:
            undo.remove(mend)
            mend()
        world.scheduler.after(_some_writing_s(world), leave)

    def leave() -> None:
        switch_off = remove(world, node, world.nodes[companion]) if world.troubled and not node.retired else None
        if switch_off is not None:
            undo.append(switch_off)

    def end() -> None:
        while undo:
            undo.pop(0)()

    world.scheduler.after(_some_writing_s(world), hear)
    return end


def _some_writing_s(world: World) -> float:
    """So long that a node's clients have mostly revoked something meanwhile."""
    return REMOVED_AFTER_S * (0.7 + world.scheduler.random.random())


def _all_told(companion: SimNode, node: SimNode) -> list[Delta]:
    """What a node answers who asks for all that another one has written."""
    if companion.process is None:
        return []
    logs = dict.fromkeys(node.origins, 0)
    return [Delta(0, tuple(companion.process.replica.after(logs)), "last")]


def _remove(world: World, node: SimNode, ask: SimNode | None = None) -> Undo | None:
    if not world.operator.remove(node, ask):
        return None
    if not node.removed:
        node.removed = True
        world.checks.leaves(node)
    return partial(world.retire, node)


def join(world: World, node: SimNode) -> Undo | None:
    """A machine joins, with an empty disk, for a region that has none."""
    free = [name for name in world.regions if name not in world.operator.members]
    if not free:
        return None
    world.operator.invite(world.scheduler.random.choice(free))
    return lambda: None


def replace(world: World, node: SimNode) -> Undo | None:
    """A region's node is removed, and at once a new machine joins in its place."""
    undo = None if node.removed else _remove(world, node)
    if undo is not None:
        world.operator.invite(node.region)
    return undo
