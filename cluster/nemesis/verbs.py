"""Does to a running cluster what a plan says, and undoes it. (I/O)

| verb | what is done | what ends it |
|---|---|---|
| kill | SIGKILL of a region's node | its start, until it is ready |
| pause | SIGSTOP | SIGCONT |
| full disk | the node may not write to any file (RLIMIT_FSIZE 0, so that no right is needed) | the limit is lifted |
| lose disk | SIGKILL, and the journal is removed | its start, until it has caught up |
| move clock | the node's service time jumps (its test hook) | it goes back to real time |
| cut, cut one way | no byte passes between two regions, or none from one to the other | the links are healed |
| isolate | no byte passes between one region and all others | the same |
| slow, lossy | a link takes longer, or loses packets | the same |
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import permutations

from cluster.data_dir import DataDir
from cluster.disturb import disturb, empty_disk, fill_disk, free_disk, move_clock, order
from cluster.nemesis.history import Fault, Recorder
from cluster.nemesis.plan import Step


class Nemesis:
    """Disturbs one cluster. `now`: seconds since the history began."""

    def __init__(self, data: DataDir, recorder: Recorder, now: Callable[[], float]) -> None:
        self._data, self._recorder, self._now = data, recorder, now
        self._links = asyncio.Lock()

    async def run(self, steps: Iterable[Step]) -> None:
        """Every step in its time; all is well when it returns. Raises Refused when something does not obey."""
        async with asyncio.TaskGroup() as tasks:
            for step in steps:
                tasks.create_task(self._run(step))

    async def _run(self, step: Step) -> None:
        begin, end = VERBS[step.verb]
        await asyncio.sleep(max(0.0, step.begin_s - self._now()))
        began_at = self._now()
        await begin(self, step)
        await asyncio.sleep(max(0.0, step.end_s - self._now()))
        await end(self, step)
        self._recorder.faults.append(Fault(step.verb, step.where, began_at, self._now()))

    # -- regions -----------------------------------------------------------------------------------------------------

    async def kill(self, step: Step) -> None:
        """SIGKILL."""
        await order(self._data, step.where[0], "kill")

    async def start(self, step: Step) -> None:
        """Start it and wait until it is ready."""
        await order(self._data, step.where[0], "start")

    async def pause(self, step: Step) -> None:
        """SIGSTOP."""
        await order(self._data, step.where[0], "pause")

    async def resume(self, step: Step) -> None:
        """SIGCONT."""
        await order(self._data, step.where[0], "resume")

    async def lose_disk(self, step: Step) -> None:
        """SIGKILL, and the journal is gone."""
        await empty_disk(self._data, step.where[0], journal_only=True)

    async def fill_disk(self, step: Step) -> None:
        """From now on no write to a file succeeds."""
        fill_disk(self._data, step.where[0])

    async def free_disk(self, step: Step) -> None:
        """Writes succeed again."""
        free_disk(self._data, step.where[0])

    async def move_clock(self, step: Step) -> None:
        """Service time jumps."""
        await move_clock(self._data, step.where[0], step.amount)

    async def set_clock(self, step: Step) -> None:
        """Back to real time."""
        await move_clock(self._data, step.where[0], 0.0)

    # -- links -------------------------------------------------------------------------------------------------------

    async def cut(self, step: Step) -> None:
        """Nothing passes."""
        await self._disturb("partition", *step.where, one_way=False)

    async def cut_one_way(self, step: Step) -> None:
        """Nothing passes from the first region to the second."""
        await self._disturb("partition", *step.where, one_way=True)

    async def isolate(self, step: Step) -> None:
        """Nothing passes between a region and all others."""
        for pair in self._pairs(step):
            await self._disturb("partition", *pair, one_way=False)

    async def slow(self, step: Step) -> None:
        """Everything takes longer."""
        await self._disturb("slow", *step.where, ms=step.amount)

    async def lose(self, step: Step) -> None:
        """Packets are lost."""
        await self._disturb("lose", *step.where, share=step.amount)

    async def heal(self, step: Step) -> None:
        """The links of the step are well."""
        for pair in self._pairs(step):
            await self._disturb("heal", *pair)

    def _pairs(self, step: Step) -> list[tuple[str, ...]]:
        """The two regions of a step, or its one region with each other one."""
        if len(step.where) == 2:
            return [step.where]
        return [pair for pair in permutations(self._data.topology.regions, 2) if pair[0] == step.where[0]]

    async def _disturb(self, verb: str, first: str, second: str, **members: object) -> None:
        async with self._links:
            await disturb(self._data, verb, first=first, second=second, **members)


_Verb = Callable[[Nemesis, Step], Awaitable[None]]
VERBS: Mapping[str, tuple[_Verb, _Verb]] = {
    "kill": (Nemesis.kill, Nemesis.start),
    "pause": (Nemesis.pause, Nemesis.resume),
    "full disk": (Nemesis.fill_disk, Nemesis.free_disk),
    "lose disk": (Nemesis.lose_disk, Nemesis.start),
    "move clock": (Nemesis.move_clock, Nemesis.set_clock),
    "cut": (Nemesis.cut, Nemesis.heal),
    "cut one way": (Nemesis.cut_one_way, Nemesis.heal),
    "isolate": (Nemesis.isolate, Nemesis.heal),
    "slow": (Nemesis.slow, Nemesis.heal),
    "lossy": (Nemesis.lose, Nemesis.heal),
}
"""How each fault begins and how it ends."""
