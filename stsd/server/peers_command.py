"""`stsd peers`: who belongs to the cluster. Tickets and removals are signed here, with the root key. All nodes at hand
are asked and told: one that is cut off knows neither who came meanwhile nor whom to tell.

The root key is read from `root.key` in the data directory, or from --root-key where it was taken off the machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import click

from stsd import provision
from stsd.config import ConfigError
from stsd.provision import ROOT_KEY_FILE, ProvisionError
from stsd.revocation import joining
from stsd.revocation.identity import Signer
from stsd.revocation.messages import Origin
from stsd.revocation.peer_records import Left, sign_left
from stsd.server import operator
from stsd.server.operator import NoNodeError, OperatorError
from stsd.server.store import write_new


def list_peers(data_dir: Path) -> int:
    """Print a line per node that ever was one. Returns 1 when no node answers; raises ConfigError."""
    try:
        told = _told(operator.directories(data_dir))
    except OperatorError as error:
        return _no(str(error))
    click.echo(f"{'REGION':<16}{'KEY':<18}{'SINCE':<18}{'LEFT':<18}URL")
    for peer in told["peers"]:
        since, left = _date(peer["since"]), _date(peer["left_at"])
        click.echo(f"{peer['region']:<16}{peer['public_key'][:16]:<18}{since:<18}{left:<18}{peer['url']}")
    return 0


def ticket(data_dir: Path, region: str, *, root_key: Path | None, out: Path | None, replace: bool) -> int:
    """Print a new ticket, or write it to a file that nobody else may read. Returns 1 when a node says no."""
    root = _root(data_dir, root_key)
    try:
        nodes = operator.directories(data_dir)
        told = _told(nodes, region)
        _check_root(root, told)
        has_node = bool(_members(told, region))
        if has_node and not replace:
            return _no(f"{region} has a node: remove it first, or let the new one replace it: --replace")
        text = joining.mint(root, region, time.time(), os.urandom) + "\n"
        if out is not None:  # before a removal, which cannot be undone
            write_new(out, text.encode(), "--out")
        if has_node:
            _remove(root, nodes, region, told)
    except OperatorError as error:
        return _no(str(error))
    if out is None:
        click.echo(text, nl=False)
    click.echo(f"stsd: a ticket for one node of {region}, for {joining.TICKET_LIFE_S // 60} minutes", err=True)
    return 0


def remove(data_dir: Path, region: str, *, root_key: Path | None) -> int:
    """Remove a region's node from the cluster. Returns 1 when there is none, or no node answers."""
    root = _root(data_dir, root_key)
    try:
        nodes = operator.directories(data_dir)
        told = _told(nodes, region)
        _check_root(root, told)
        if not _members(told, region):
            return _no(f"{region} has no node in this cluster")
        _remove(root, nodes, region, told)
    except OperatorError as error:
        return _no(str(error))
    click.echo(f"{region}: its node is removed; what others have of what it said stays")
    return 0


def _remove(root: Signer, nodes: list[Path], region: str, told: Mapping[str, Any]) -> None:
    if all(peer["region"] == region for peer in told["peers"] if peer["left_at"] is None):
        raise OperatorError(f"{region} has the only node of this cluster: without it there is nobody to join")
    for peer in _members(told, region):
        heads = {Origin.parse(origin): head for origin, head in peer["heads"].items()}
        record = sign_left(root, bytes.fromhex(peer["public_key"]), Left(heads, int(time.time())))
        operator.call_all(nodes, "peers take", record=record.hex())


def _members(told: Mapping[str, Any], region: str) -> list[dict[str, Any]]:
    return [peer for peer in told["peers"] if peer["region"] == region and peer["left_at"] is None]


def _told(nodes: list[Path], region: str = "") -> Mapping[str, Any]:
    """What these nodes know, together: who left has left, and a log is as long as somebody has it. The node of
    `region`, which may have to leave, is asked only when no other one answers: how long its own log is, it could
    claim. Raises OperatorError."""
    try:
        answers = operator.call_all([node for node in nodes if node.name != region], "peers list")
    except NoNodeError:
        answers = operator.call_all(nodes, "peers list")
    found: dict[str, dict[str, Any]] = {}
    for peer in chain.from_iterable(answer["peers"] for answer in answers):
        known = found.setdefault(peer["public_key"], peer)
        known["left_at"] = peer["left_at"] if known["left_at"] is None else known["left_at"]
        heads = known["heads"]
        known["heads"] = heads | {origin: max(head, heads.get(origin, 0)) for origin, head in peer["heads"].items()}
    by_region_and_age = sorted(found.values(), key=lambda peer: (peer["region"], peer["since"]))
    return {"root_key": answers[0]["root_key"], "peers": by_region_and_age}


def _root(data_dir: Path, file: Path | None) -> Signer:
    path = file or data_dir / ROOT_KEY_FILE
    try:
        return provision.read_root_key(path.read_text(), str(path))
    except OSError as error:
        raise ConfigError(
            f"{path}: the root key cannot be read: {error.strerror}; say where it is: --root-key"
        ) from error
    except (UnicodeDecodeError, ProvisionError) as error:
        raise ConfigError(f"{path}: not a root key: 64 hexadecimal digits are expected") from error


def _check_root(root: Signer, told: Mapping[str, Any]) -> None:
    if told["root_key"] != root.public_key.hex():
        raise OperatorError("the root key is not that of this cluster")


def _date(at: int | None) -> str:
    return "-" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def _no(text: str) -> int:
    click.echo(f"stsd: {text}", err=True)
    return 1
