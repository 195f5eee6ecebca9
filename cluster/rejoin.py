"""A region whose folder was emptied joins its own cluster again, as a machine elsewhere would. (I/O)

The node that was there is removed from the peer set, because its identity key is gone; a ticket goes from one command
to the other through pipes, as an operator would carry it. What the machine itself says to another region goes through
the link to that region: a cut region stays away. Regions are asked for some seconds, since they may be starting too,
and nothing is removed before one of them answers.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from cluster import probe
from cluster.children import dies_with_parent, terminate
from cluster.data_dir import DataDir

PATIENCE_S = 15.0
RETRY_S = 0.2
LINK_ANSWER_S = 5.0
"""How long a region may take to answer through its link: some round trips of a slow one."""
NODE_FILE = "node.json"
SEED_FILE = "joining.seed"


def is_needed(data: DataDir, name: str) -> bool:
    """Whether `name` is a region whose folder holds no node."""
    return name in data.topology.regions and not (data.path / name / NODE_FILE).exists()


async def rejoin(data: DataDir, region: str) -> str:
    """Fill the region's folder; what went wrong, or nothing."""
    faults = ["no other region answered in time"]
    try:
        async with asyncio.timeout(PATIENCE_S):
            while faults := await _ask_all(data, region):  # noqa: ASYNC110  other processes
                await asyncio.sleep(RETRY_S)
    except TimeoutError:
        said = "\n".join(faults)
        return f"{region}: its folder is empty, and it could not join the cluster again:\n{said}"
    return ""


async def _ask_all(data: DataDir, region: str) -> list[str]:
    """Ask the other regions until one lets this one join; what went wrong with each, nothing if that one was found."""
    sponsors = [other for other in data.topology.regions if other != region]
    answers = await asyncio.gather(*(probe.readiness(data.link(region, to), LINK_ANSWER_S) for to in sponsors))
    faults = []
    for sponsor, answer in zip(sponsors, answers, strict=True):
        fault = f"{sponsor} does not answer through the link to it"
        if answer is not None:
            fault = await _join(data, region, sponsor)
        if not fault:
            return []
        faults.append(fault)
    return faults or ["no other region is there to be asked"]


async def _join(data: DataDir, region: str, sponsor: str) -> str:
    folder, root_key = data.path / sponsor, data.path / "root.key"
    code, ticket, said = await _stsd(
        *("peers", "ticket", "--region", region, "--replace", "--data-dir", str(folder), "--root-key", str(root_key))
    )
    if code == 0:
        _forget_unfinished(data, region)
        where = ("--sponsor", data.link(region, sponsor), "--url", data.url(region))
        code, _, said = await _stsd("join", "--ticket", "-", *where, "--data-dir", str(data.path / region), told=ticket)
    return said.decode(errors="replace").strip() if code else ""


def _forget_unfinished(data: DataDir, region: str) -> None:
    """The key of a try of which the answer was lost may be named already, and then the new ticket removed it."""
    folder, log = data.path / region, data.log(region)
    seed = folder / SEED_FILE
    if seed.exists():
        for path in [other for other in folder.iterdir() if other not in (log, seed)] + [seed]:
            path.unlink()


async def _stsd(*arguments: str, told: bytes = b"") -> tuple[int, bytes, bytes]:
    """Exit code and output of a command, which ends with us."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stsd", *arguments), stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True,
        preexec_fn=dies_with_parent(signal.SIGKILL),
    )  # fmt: skip
    try:
        answered, said = await process.communicate(told)
    finally:
        terminate(process, signal.SIGKILL)
        await process.wait()
    return process.returncode or 0, answered, said
