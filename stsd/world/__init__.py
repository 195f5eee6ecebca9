"""The world file: the accounts, users, roles and policies that a cluster starts from (contract 5).

    text → load → document → check → faults
                           → materialise → a complete world → directory

A wrong file raises WorldError, whose text has one line per fault; nothing in a file is silently ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from stsd.directory import Directory
from stsd.world import build, materialisation, rules, shape
from stsd.world.documents import load, not_plain
from stsd.world.faults import Fault, WorldError, in_order

__all__ = ["Fault", "WorldError", "check", "default_text", "directory", "load", "materialise"]


def default_text() -> str:
    """The default world, as YAML."""
    return files(__package__).joinpath("default.yaml").read_text(encoding="utf-8")


def check(document: object) -> list[Fault]:
    """All faults of a document, sorted by place; none means that it can be materialised."""
    return in_order(not_plain(document)) or in_order([*shape.faults(document), *rules.faults(document)])


def materialise(document: Mapping[str, Any], entropy: Callable[[int], bytes]) -> dict[str, Any]:
    """A complete, JSON-able copy of `document`: unique ids, access keys and an administrator are filled in once.

    What is given stays. The same entropy gives the same world, but for the keys of outbound federation. Raises
    WorldError with every fault of the document.
    """
    faults = check(document)
    if faults:
        raise WorldError(faults)
    return materialisation.fill(dict(document), entropy)


def directory(world: Mapping[str, Any]) -> Directory:
    """The immutable directory of a world that `materialise` made."""
    return build.build(world)
