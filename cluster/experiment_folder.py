"""Reads a folder of experiment files, and holds each against the topologies that it names. (I/O)"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from cluster import elsewhere, experiment_file
from cluster.errors import ClusterError
from cluster.experiment import Experiment, ExperimentError
from cluster.files import parse_topology, read_text, topology_source
from cluster.topology import Topology


def read(folder: Path) -> dict[str, Experiment]:
    """Every experiment by name, in the order of their numbers. Raises ClusterError with all that is wrong in any."""
    found: dict[str, Experiment] = {}
    paths: dict[str, Path] = {}
    faults: list[str] = []
    there = cache(_topology)
    for path in sorted(folder.glob("*.toml")):
        try:
            one = experiment_file.parse(read_text(path, "experiment"), str(path))
        except (ExperimentError, ClusterError) as error:
            faults += error.faults
            continue
        if one.name in found:
            faults.append(f"{path}: name: {one.name} is that of {paths[one.name]} too; allowed is a name of its own")
        faults += (f"{path}: {fault}" for fault in _misplaced(one, there))
        found[one.name], paths[one.name] = one, path
    if faults:
        raise ClusterError(*faults)
    return dict(sorted(found.items(), key=lambda item: (int(item[1].number[1:]), item[0])))


def _topology(name: str) -> Topology:
    return parse_topology(*topology_source(name))


def _misplaced(one: Experiment, read: Callable[[str], Topology]) -> Iterator[str]:
    """Places that its topology does not have, and those that the quick form's does not, if that is another one."""
    forms = {"topology": one.topology}
    if one.quick.topology != one.topology:
        forms["quick.topology"] = one.quick.topology
    for member, name in forms.items():
        try:
            there = read(name)
        except ClusterError as error:
            yield from (f"{member}: {fault.removeprefix('--topology ')}" for fault in error.faults)
            continue
        where = "" if member == "topology" else f"{member} {name}: "
        yield from (f"{where}{fault}" for fault in elsewhere.misplaced(one, there, quick=member != "topology"))
