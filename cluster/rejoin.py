"""A region whose folder was emptied joins its own cluster again, as a machine elsewhere would. (I/O)

The node that was there is removed from the peer set, because its identity key is gone; a ticket goes from one command
to the other through pipes. Another region has to run: it is asked for some seconds, since it may be starting too.
"""

from __future__ import annotations

import asyncio
import sys

from cluster.data_dir import DataDir

PATIENCE_S = 15.0
RETRY_S = 0.2
NODE_FILE = "node.json"


def is_needed(data: DataDir, name: str) -> bool:
    """Whether `name` is a region whose folder holds no node."""
    return name in data.topology.regions and not (data.path / name / NODE_FILE).exists()


async def rejoin(data: DataDir, region: str) -> str:
    """Fill the region's folder; what went wrong, or nothing."""
    fault = "no other region is there to be asked"
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for sponsor in (other for other in data.topology.regions if other != region):
                    fault = await _rejoin_through(data, region, sponsor)
                    if not fault:
                        return ""
                await asyncio.sleep(RETRY_S)
    except TimeoutError:
        return f"{region}: its folder is empty, and it could not join the cluster again:\n{fault}"


async def _rejoin_through(data: DataDir, region: str, sponsor: str) -> str:
    folder, root_key = data.path / sponsor, data.path / "root.key"
    code, ticket, said = await _stsd(
        *("peers", "ticket", "--region", region, "--replace", "--data-dir", str(folder), "--root-key", str(root_key))
    )
    if code == 0:
        flags = ("--sponsor", data.url(sponsor), "--url", data.url(region), "--data-dir", str(data.path / region))
        code, _, said = await _stsd("join", "--ticket", "-", *flags, told=ticket)
    return said.decode(errors="replace").strip() if code else ""


async def _stsd(*arguments: str, told: bytes = b"") -> tuple[int, bytes, bytes]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stsd", *arguments), stdin=pipe, stdout=pipe, stderr=pipe
    )
    answered, said = await process.communicate(told)
    return process.returncode or 0, answered, said
