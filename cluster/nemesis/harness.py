"""One history: a cluster of its own, disturbed while clients work, then healed and asked what it holds. (I/O)"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode

import aiohttp
import yaml

from cluster import own_cluster
from cluster.data_dir import DataDir
from cluster.errors import ClusterError, Refused
from cluster.load import open_session
from cluster.nemesis import plan
from cluster.nemesis.clients import TIMEOUT_S, Clients
from cluster.nemesis.history import Entry, History, Operation, Recorder
from cluster.nemesis.plan import Step
from cluster.nemesis.verbs import Nemesis
from cluster.own_cluster import OwnCluster
from loadtest.places import DataDirError, Key, read_key

WORLD = Path(__file__).parent / "world.yaml"
ASKED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Settings:
    """What every history of a run is made with; `seconds` is about how long its faults last."""

    seconds: float = 30.0
    clients: int = 8
    topology: str = "three_regions"
    verbs: Sequence[str] = plan.VERBS
    backbone: str = "http"


async def record(settings: Settings, seed: int, logs: Path, steps: Sequence[Step] | None = None) -> History:
    """One history of the seed's plan, or of `steps`; the folder `logs` gets what the processes logged.

    Raises ClusterError when the cluster does not start or does not obey.
    """
    flags = ("--world", str(WORLD), "--unsafe-test-hooks", "--backbone", settings.backbone)
    async with OwnCluster(settings.topology, "nearest-failover", seed, *flags) as data, open_session(TIMEOUT_S) as http:
        try:
            if steps is None:
                steps = plan.plan(seed, data.topology.regions, settings.seconds, settings.verbs)
            return await _record(data, http, settings.clients, steps, seed)
        except* ClusterError as group:
            raise Refused(*(fault for error in group.exceptions for fault in str(error).splitlines())) from group
        finally:
            _copy_logs(data, logs)


async def _record(data: DataDir, http: aiohttp.ClientSession, count: int, steps: Sequence[Step], seed: int) -> History:
    recorder, begin, stop = Recorder(), time.monotonic(), asyncio.Event()

    def now() -> float:
        return time.monotonic() - begin

    regions = data.topology.regions
    urls = {region: data.url(region) for region in regions}
    clients = Clients(urls, _roles(), _admin(data.path), http, recorder, now, Random(seed))  # noqa: S311  chance
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(clients.run(count, stop))
        await Nemesis(data, recorder, now).run(steps)
        well_at = now()
        stop.set()
        agreed = await own_cluster.until_heads_are_equal(data)
        agreed_at = now()
    agreed = agreed and await own_cluster.until_heads_are_equal(data)  # what was under way has ended only now
    final = {region: entries for region in regions if (entries := await _entries(http, urls[region])) is not None}
    refused = {region: await _refused(clients, region) for region in final}
    return History(
        regions, recorder.sessions, recorder.operations, recorder.faults, final, refused,
        agreed_at - well_at if agreed else None, seed,
    )  # fmt: skip


def _admin(path: Path) -> Key:
    try:
        return read_key(path, "admin")
    except DataDirError as error:
        raise Refused(str(error)) from error


def _roles() -> list[str]:
    """The ARNs of the world's roles."""
    (account,) = yaml.safe_load(WORLD.read_text())["Accounts"]
    return [f"arn:aws:iam::{account['Id']}:role/{role['RoleName']}" for role in account["Roles"]]


async def _entries(http: aiohttp.ClientSession, url: str) -> list[Entry] | None:
    """Everything that a node's feed tells; None when it does not."""
    found: list[Entry] = []
    cursor = ""
    while (content := await _get(http, f"{url}/v1/revocations?{urlencode({'after': cursor})}")) is not None:
        page = json.loads(content)
        if not page["revocations"]:
            return found
        found += [_entry(told) for told in page["revocations"]]
        cursor = page["cursor"]
    return None


def _entry(told: Mapping[str, Any]) -> Entry:
    """A revocation of the feed, whose form of subject says of which of the clients' kinds it is."""
    cutoff_ms = round((told["issued_before"] or 0) * 1000)
    subject = told["subject"]
    kind = "access_key" if not subject.startswith("arn:") else "session" if told["kind"] == "named" else "role"
    return Entry(told["origin"], told["sequence"], kind, subject, cutoff_ms)


async def _refused(clients: Clients, region: str) -> frozenset[str]:
    """The sessions that a region refuses in the end."""
    keys = clients.sessions
    found: list[Operation] = []
    for first in range(0, len(keys), ASKED_AT_ONCE):
        found += await clients.ask(-1, region, keys[first : first + ASKED_AT_ONCE])
    return frozenset(one.session for one in found if one.outcome == "ok" and not one.accepted)


async def _get(http: aiohttp.ClientSession, url: str) -> bytes | None:
    try:
        async with http.get(url) as answer:
            return await answer.read() if answer.status == 200 else None
    except (aiohttp.ClientError, TimeoutError):
        return None


def _copy_logs(data: DataDir, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in data.names:
        if data.log(name).exists():
            shutil.copy(data.log(name), folder / f"{name}.log")
