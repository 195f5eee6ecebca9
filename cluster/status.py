"""`cluster status`: every process of a running cluster in one table. (I/O)"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from cluster import control, probe
from cluster.data_dir import ROUTER, DataDir, read_cluster_file


@dataclass(frozen=True, slots=True)
class Row:
    """One process as it is now."""

    name: str
    url: str
    health: str
    staleness: str
    pid: int | None

    @property
    def well(self) -> bool:
        """Whether nothing has to be done about it."""
        return self.health == "ready"


async def rows(data: DataDir) -> list[Row]:
    """Every region, then the router."""
    content = read_cluster_file(data) or {}
    answers = await asyncio.gather(*(probe.readiness(data.url(name)) for name in data.names))
    return [_row(data, name, answer, content) for name, answer in zip(data.names, answers, strict=True)]


def _row(data: DataDir, name: str, answer: tuple[bool, dict[str, Any]] | None, content: dict[str, Any]) -> Row:
    entry = content.get("router", {}) if name == ROUTER else content.get("regions", {}).get(name, {})
    pid = entry.get("pid") if control.is_alive(data.run, name) else None
    if answer is None:
        return Row(name, data.url(name), "down" if pid is None else "silent", "", pid)
    ready, said = answer
    return Row(name, data.url(name), "ready" if ready else "not ready", staleness(said), pid)


def staleness(said: dict[str, Any]) -> str:
    """The age of the oldest knowledge of another origin, from a node's readiness."""
    ages = said.get("staleness")
    values = [age for age in ages.values() if isinstance(age, int | float)] if isinstance(ages, dict) else []
    return f"{max(values):.1f} s" if values else ""


def show(data: DataDir, found: list[Row]) -> None:
    """Prints the table."""
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "url", "health", "staleness", "pid", title=f"{data.topology.name} in {data.path}")
    for row in found:
        table.add_row(row.name, row.url, row.health, row.staleness, str(row.pid or ""))
    Console().print(table)
