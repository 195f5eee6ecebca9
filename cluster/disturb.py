"""Does to a running cluster what fault records say: the same for verbs, schedules, experiments and histories. (I/O)

Links are cut and slowed by the process that they are, processes are killed and paused by their supervisors, disks fill
by a limit on what the node may write, and what happens inside a node is done by its test hooks, which have to be on.
"""

from __future__ import annotations

import asyncio
import resource
import shutil
import time
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from cluster import control, data_dir
from cluster.data_dir import DataDir
from cluster.errors import Refused
from cluster.fault_records import Fault

JOURNAL = "journal.db*"
HOOK_TIMEOUT_S = 10.0
ASKED_S = 1.0
"""How long a node may take to say whether something is wrong inside; a paused one says nothing."""
ERROR_STATUS, GREY_STATUS = 503, 500
DRAIN_S, POLL_S = 10.0, 0.05


async def do(data: DataDir, fault: Fault) -> None:
    """One fault, or its end; done when it returns. Raises Refused. A crash is two: see `fault_records.drawn`."""
    region = fault.region
    match fault.action:
        case "partition" | "slow" | "lose":
            members: dict[str, dict[str, Any]] = {
                "partition": {"one_way": fault.one_way},
                "slow": {"ms": fault.ms},
                "lose": {"share": fault.share},
            }
            await disturb(data, fault.action, first=region, second=fault.to, **members[fault.action])
        case "isolate":
            await disturb(data, "isolate", **({"first": region} if region else {}))
        case "kill" | "start" | "pause" | "resume":
            await order(data, region, fault.action)
        case "crash":
            await order(data, region, "kill")
            await order(data, region, "start")
        case "upgrade":
            await replace_node(data, region)
        case "later-entry":
            await hook(data, region, "entry", {"kind": "of-a-later-version"})
        case "full-disk":
            fill_disk(data, region)
        case "empty-disk":
            await empty_disk(data, region, journal_only=fault.journal_only)
        case "clock-offset":
            await move_clock(data, region, fault.offset_s)
        case "capacity":
            limit = {"per_s": fault.per_s} | ({} if fault.queue_ms is None else {"queue_ms": fault.queue_ms})
            await hook(data, region, "capacity", limit if fault.per_s else {})
        case "heal":
            await heal(data, region, fault.to)
        case _:
            await hook(data, region, "faults", _inside(fault))


def _inside(fault: Fault) -> dict[str, Any]:
    """What a node is told to do badly (see `stsd.server.faults`)."""
    match fault.action:
        case "error-rate":
            return {"error_share": fault.share, "error_status": fault.status or ERROR_STATUS}
        case "grey":
            return {"grey_status": GREY_STATUS if fault.status is None else fault.status}
        case "brown-out":
            return {"times": fault.times, "ms": fault.ms}
        case "stall":
            return {"stall_ms": fault.ms}
    raise Refused(f"{fault.action}: nobody knows how")


# -- the end of everything ---------------------------------------------------------------------------------------------


async def heal(data: DataDir, region: str = "", to: str = "") -> list[str]:
    """Ends every fault of a link, of a region, or of all, but for processes that are killed or paused: those need
    `start` and `resume`. The regions that are paused, and so keep what is wrong inside. Raises Refused when everything
    else was tried."""
    if to:
        await disturb(data, "heal", first=region, second=to)
        return []
    regions = [region] if region else [*data.topology.regions]
    links = [] if region else [disturb(data, "heal")]
    healed = await each(*(_heal_inside(data, one) for one in regions), *links)
    return [one for one, well in zip(regions, healed, strict=False) if not well]


async def each(*doing: Awaitable[Any]) -> list[Any]:
    """What each one came to. Raises Refused with all that was refused when every one is done."""
    done = await asyncio.gather(*doing, return_exceptions=True)
    for one in done:
        if isinstance(one, BaseException) and not isinstance(one, Refused):
            raise one
    if faults := [fault for one in done if isinstance(one, Refused) for fault in one.faults]:
        raise Refused(*faults)
    return done


async def _heal_inside(data: DataDir, region: str) -> bool:
    """Whether that was possible. Raises Refused."""
    if (pid := pid_of(data, region)) is None:
        return True
    try:
        return await _heal_process(data, region, pid)
    except Refused:
        if pid_of(data, region) == pid:
            raise
        return True  # it has ended meanwhile, and what was wrong inside with it


async def _heal_process(data: DataDir, region: str, pid: int) -> bool:
    """The disk comes first: a moved clock is written to it. A node that is too busy to say how it does is not well."""
    _limit_files(pid, full=False)
    state = await asyncio.to_thread(control.ask, data.run, region, "status")
    if state is not None and state.get("paused"):
        return False
    if state is not None and state.get("hooks"):
        await hook(data, region, "faults", {})
        await hook(data, region, "capacity", {})
        told = await inside(data, region, HOOK_TIMEOUT_S)
        if told is None:
            raise Refused(f"clock of {region} did not work: it does not say how it goes")
        if told["clock_offset_s"]:
            await hook(data, region, "clock", {})
    return True


# -- links and processes -----------------------------------------------------------------------------------------------


async def order(data: DataDir, region: str, verb: str) -> None:
    """`cluster kill`, `start`, `pause` or `resume` of a region, done when it returns. Raises Refused."""
    answer = await asyncio.to_thread(control.ask, data.run, region, verb)
    if answer is None or not answer["ok"]:
        raise Refused(f"{verb} {region} did not work: {'nothing supervises it' if answer is None else answer['fault']}")


async def replace_node(data: DataDir, region: str) -> None:
    """A region's node ends and starts again as with `drain`, SIGTERM, `start` and `undrain`: meanwhile the global
    endpoint sends nothing there. Raises Refused."""
    await drain(data, region)
    await order(data, region, "stop")
    await order(data, region, "start")
    await _tell_router(data, region, draining=False)


async def drain(data: DataDir, region: str) -> None:
    """No new calls of the global endpoint; done when those before are answered. Raises Refused after DRAIN_S."""
    try:
        async with asyncio.timeout(DRAIN_S):
            while (await _tell_router(data, region, draining=True))["in_flight"]:  # noqa: ASYNC110  another process
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise Refused(f"drain {region} did not work: calls are still not answered after {DRAIN_S:g} s") from None


async def _tell_router(data: DataDir, region: str, *, draining: bool) -> dict[str, Any]:
    answer = await asyncio.to_thread(
        control.ask, data.run, control.ROUTER_ORDERS, "drain", region=region, draining=draining
    )
    if answer is None or not answer["ok"]:
        raise Refused(
            f"drain {region} did not work: {'nothing runs the router' if answer is None else answer['fault']}"
        )
    return answer


async def disturb(data: DataDir, verb: str, **members: Any) -> None:
    """An order to the links (see `faults`), obeyed when it returns. Raises Refused."""
    answer = await asyncio.to_thread(control.ask, data.run, control.LINKS_FAULTS, verb, **members)
    if answer is None or not answer["ok"]:
        raise Refused(f"{verb} did not work: {'nothing runs the links' if answer is None else answer['fault']}")


def pid_of(data: DataDir, region: str) -> int | None:
    """The process of a region's node; None while there is none."""
    content = data_dir.read_cluster_file(data) or {}
    pid = content.get("regions", {}).get(region, {}).get("pid")
    return pid if isinstance(pid, int) else None


# -- disks -------------------------------------------------------------------------------------------------------------


def fill_disk(data: DataDir, region: str) -> None:
    """From now on no write to a file succeeds: RLIMIT_FSIZE is 0, so that no right is needed. Raises Refused."""
    _limit_files(_running(data, region), full=True)


def free_disk(data: DataDir, region: str) -> None:
    """Writes succeed again. Raises Refused."""
    _limit_files(_running(data, region), full=False)


def disk_is_full(pid: int) -> bool:
    """Whether a process may write to no file."""
    try:
        return resource.prlimit(pid, resource.RLIMIT_FSIZE)[0] == 0
    except OSError:
        return False


def _limit_files(pid: int, *, full: bool) -> None:
    """How long a file of a process may become: nothing, or as much as it may at most."""
    try:
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0 if full else hard, hard))
    except OSError as error:
        raise Refused(f"the disk of process {pid} cannot be limited: {error.strerror}") from error


def _running(data: DataDir, region: str) -> int:
    pid = pid_of(data, region)
    if pid is None:
        raise Refused(f"{region} is not running")
    return pid


async def empty_disk(data: DataDir, region: str, *, journal_only: bool) -> None:
    """SIGKILL, and the region's folder is empty, or has no journal. Its log stays: it belongs to who watches. Raises
    Refused."""
    if pid_of(data, region) is not None:
        await order(data, region, "kill")
    folder = data.path / region
    lost = [*(folder.glob(JOURNAL) if journal_only else folder.iterdir())]
    for path in lost:
        if path != data.log(region):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


# -- inside a node -----------------------------------------------------------------------------------------------------


async def move_clock(data: DataDir, region: str, offset_s: float) -> None:
    """Service time is so far from real time; 0 for none. Raises Refused."""
    await hook(data, region, "clock", {"now": time.time() + offset_s} if offset_s else {})


async def hook(data: DataDir, region: str, name: str, content: Mapping[str, Any]) -> None:
    """A test hook of one node (contract 8), obeyed when it returns. Raises Refused."""
    url = f"{data.url(region)}/_test/{name}"
    timeout = aiohttp.ClientTimeout(HOOK_TIMEOUT_S)
    try:
        async with aiohttp.request("POST", url, json=content, timeout=timeout) as answer:
            fault = "" if answer.status == 200 else f"{answer.status} {(await answer.read()).decode(errors='replace')}"
            if answer.status == 404:
                fault = "its test hooks are off: start the cluster with --unsafe-test-hooks"
    except (aiohttp.ClientError, TimeoutError) as error:
        fault = str(error) or "it does not answer"
    if fault:
        raise Refused(f"{name} of {region} did not work: {fault}")


async def inside(data: DataDir, region: str, within_s: float = ASKED_S) -> dict[str, Any] | None:
    """What is wrong with a node by order of its hooks; None where they are off or nothing answers. Whether they are on
    is asked of the supervisor: a node takes the question for a path that it has not, and logs that."""
    state = await asyncio.to_thread(control.ask, data.run, region, "status")
    if state is None or not state.get("hooks"):
        return None
    timeout = aiohttp.ClientTimeout(within_s)
    try:
        async with aiohttp.request("GET", f"{data.url(region)}/_test/faults", timeout=timeout) as answer:
            return await answer.json() if answer.status == 200 else None
    except (aiohttp.ClientError, TimeoutError):
        return None
