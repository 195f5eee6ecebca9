"""`cluster status`: every process of a running cluster in one table. (I/O)"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cluster import control, disturb, probe
from cluster.data_dir import ROUTER, DataDir, read_cluster_file
from cluster.topology import LINKS


@dataclass(frozen=True, slots=True)
class Row:
    """One process as it is now."""

    name: str
    url: str
    health: str
    staleness: str
    pid: int | None
    wrong: str = ""
    """What was done to it, in words."""

    @property
    def well(self) -> bool:
        """Whether nothing has to be done about it."""
        return self.health == "ready" and not self.wrong


async def rows(data: DataDir) -> list[Row]:
    """Every process, in the order of their names in `data`."""
    content = read_cluster_file(data) or {}
    names = [*data.topology.regions, ROUTER]
    answers = await asyncio.gather(*(_readiness(data, name) for name in names))
    wrongs = [*await asyncio.gather(*(_wrong(data, region) for region in data.topology.regions)), ""]
    served = [_row(data, *one, content) for one in zip(names, answers, wrongs, strict=True)]
    brokers = await asyncio.gather(*(_broker_row(data, name) for name in data.ports.brokers))
    return [*served[:-1], *brokers, await asyncio.to_thread(_links_row, data), served[-1]]


def faults(data: DataDir) -> list[dict[str, str]] | None:
    """Every direction between two regions that is not well (`from`, `to`, `fault`); None where no links run."""
    answer = control.ask(data.run, control.LINKS_FAULTS, "status")
    return None if answer is None else answer["faults"]


async def _readiness(data: DataDir, name: str) -> tuple[bool, dict[str, Any]] | None:
    return None if _paused(data, name) else await probe.readiness(data.url(name))


def _paused(data: DataDir, name: str) -> bool:
    """Asked of the supervisor, which answers at once."""
    if not control.is_alive(data.run, name):
        return False
    answer = control.ask(data.run, name, "status")
    return answer is not None and bool(answer["paused"])


def _pid(data: DataDir, name: str) -> int | None:
    """Asked of the supervisor."""
    answer = control.ask(data.run, name, "status") if control.is_alive(data.run, name) else None
    return None if answer is None else answer["pid"]


async def _broker_row(data: DataDir, name: str) -> Row:
    from cluster import brokers

    pid = await asyncio.to_thread(_pid, data, name)
    well = pid is not None and await brokers.serves(data, name)
    return Row(name, data.url(name), "ready" if well else "down" if pid is None else "silent", "", pid)


def _links_row(data: DataDir) -> Row:
    pid = _pid(data, LINKS)
    known = None if pid is None else faults(data)
    health = "down" if pid is None else "silent" if known is None else "faults" if known else "ready"
    return Row(LINKS, "", health, "", pid)


async def _wrong(data: DataDir, region: str) -> str:
    """What faults were given to a region's node."""
    pid = disturb.pid_of(data, region)
    if pid is None or _paused(data, region):
        return ""
    told = await disturb.inside(data, region)
    full = ["full disk"] if disturb.disk_is_full(pid) else []
    return ", ".join([*full, *(inside_words(told) if told else ())])


def inside_words(told: Mapping[str, Any]) -> Iterator[str]:
    """What a node's hooks say is wrong inside (see `stsd.server.faults`), a phrase each."""
    if told["error_share"]:
        yield f"{told['error_share']:.2%} of the answers are {told['error_status']}"
    if told["grey_status"]:
        yield f"whoever wants a session gets {told['grey_status']}"
    if told["times"] > 1:
        yield f"answers take {told['times']:g} times as long"
    if told["ms"]:
        yield f"answers take {told['ms']:g} ms longer"
    if told["stall_ms"]:
        yield f"each call burns {told['stall_ms']:g} ms of CPU"
    if told["per_s"]:
        yield f"serves {told['per_s']:g} calls a second"
    if offset_s := round(told["clock_offset_s"], 2):
        yield f"the clock is {abs(offset_s):g} s {'behind' if offset_s < 0 else 'ahead'}"


def _row(
    data: DataDir, name: str, answer: tuple[bool, dict[str, Any]] | None, wrong: str, content: dict[str, Any]
) -> Row:
    entry = content.get("router", {}) if name == ROUTER else content.get("regions", {}).get(name, {})
    pid = entry.get("pid") if control.is_alive(data.run, name) else None
    if answer is None:
        silent = "paused" if _paused(data, name) else "silent"
        return Row(name, data.url(name), "down" if pid is None else silent, "", pid, wrong)
    ready, said = answer
    return Row(name, data.url(name), "ready" if ready else "not ready", staleness(said), pid, wrong)


def staleness(said: dict[str, Any]) -> str:
    """The age of the oldest knowledge of another origin, from a node's readiness."""
    ages = said.get("staleness")
    values = [age for age in ages.values() if isinstance(age, int | float)] if isinstance(ages, dict) else []
    return f"{max(values):.1f} s" if values else ""


def show(data: DataDir, found: list[Row]) -> None:
    """Prints the table."""
    from rich import box
    from rich.console import Console
    from rich.table import Column, Table

    columns = (Column("name", no_wrap=True), Column("url", overflow="fold"), "health", "staleness", "pid")
    title = f"{data.topology.name} in {data.path}"
    look: dict[str, Any] = {"box": box.SIMPLE_HEAD, "show_edge": False, "pad_edge": False, "collapse_padding": True}
    table = Table(*columns, title=title, title_justify="left", **look)
    for row in found:
        table.add_row(row.name, row.url, row.health, row.staleness, str(row.pid or ""))
    console = Console()
    console.print(table)
    for row in found:
        if row.wrong:
            console.print(f"{row.name}: {row.wrong}", highlight=False)
    for link in faults(data) or ():
        console.print(f"link from {link['from']} to {link['to']}: {link['fault']}", highlight=False)
