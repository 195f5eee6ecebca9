"""`stsd join`: this machine becomes a node of a cluster, with a ticket, through a sponsor (stsd.revocation.joining).

The identity key is on disk before the ticket is used, so that a second try of the same machine goes on where the first
one ended; `node.json`, which makes the directory a node's, is written last.
"""

from __future__ import annotations

import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import orjson

from stsd import provision
from stsd.config import ConfigError, is_loopback_host, is_url
from stsd.provision import NodeFile
from stsd.revocation import joining
from stsd.revocation.identity import SEED_BYTES, Signer
from stsd.revocation.joining import HeldTicket, JoinError
from stsd.revocation.peer_set import PeerSet
from stsd.server import store, tls
from stsd.server.sponsor import PATH
from stsd.server.store import write_new
from stsd.tokens import keyset

TIMEOUT_S = 30.0
SEED_FILE = "joining.seed"
WRITTEN = (provision.CLUSTER_KEY_FILE, *(name for name in provision.FILES if name != provision.NODE_FILE))
"""What a try that ended in between may have left."""
ROUTED = "x-stsd-route"
"""On answers that came through a router: its URL is no node's."""


def run(ticket: str, sponsor: str, data_dir: Path, url: str, ca: Path | None) -> int:
    """Join, and say how to start. Returns 1 when the sponsor refuses or does not answer; raises ConfigError."""
    sponsor, urls = sponsor.rstrip("/"), {"--sponsor": sponsor, "--url": url}
    _check(urls)
    believed = None if ca is None else tls.believing(ca, "--ca")
    held = _ticket(ticket)
    _warn(urls)
    began = (data_dir / SEED_FILE).exists()
    store.claim_empty(data_dir, SEED_FILE, provision.CA_FILE, *(WRITTEN if began else ()))
    seed = _seed(data_dir / SEED_FILE)
    try:
        files = _files(*_ask(held, seed, sponsor, url, believed), held, seed, url)
    except (JoinError, OSError, HTTPException) as error:
        click.echo(f"stsd: {sponsor} {_why(error)}", err=True)
        return 1
    if ca is not None:
        write_new(data_dir / provision.CA_FILE, ca.read_bytes())
    for name, part in files.items():
        write_new(data_dir / name, part)
    (data_dir / SEED_FILE).unlink()
    click.echo(f"{data_dir} is the node of {held.ticket.region} now; start it: stsd serve --data-dir {data_dir}")
    return 0


def _check(urls: Mapping[str, str]) -> None:
    for flag, url in urls.items():
        if not is_url(url):
            raise ConfigError(f"{flag}: {url!r} is not an http or https URL")


def _warn(urls: Mapping[str, str]) -> None:
    for flag, url in urls.items():
        parts = urlsplit(url)
        if parts.scheme == "http" and not is_loopback_host(parts.hostname or ""):
            click.echo(
                f"stsd: {flag}: what nodes say to each other can be read on the way to {url}; use https", err=True
            )


def _ask(
    held: HeldTicket, seed: bytes, sponsor: str, url: str, believed: ssl.SSLContext | None
) -> tuple[dict[str, Any], str]:
    """The sponsor's answer, and its URL; empty when a router chose the sponsor. Raises JoinError, OSError (HTTPError
    for a refusal) or HTTPException."""
    challenge = os.urandom(joining.CHALLENGE_BYTES)
    request = joining.ask(held, Signer(seed), url.rstrip("/"), time.time(), challenge)
    answer, routed = _post(sponsor + PATH, request, believed)
    return joining.open_answer(held, seed, challenge, answer), "" if routed else sponsor


def _why(error: Exception) -> str:
    if isinstance(error, JoinError):
        return f"answers nothing that the ticket's cluster vouches for: {error.reason}"
    if isinstance(error, urllib.error.HTTPError):
        return f"does not let this machine join: {_refusal(error)}"
    if isinstance(error, OSError):
        return f"does not answer: {getattr(error, 'reason', error)}"
    return f"does not answer in HTTP: {type(error).__name__}"


def _ticket(source: str) -> HeldTicket:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text()
        return joining.read_ticket(text.strip())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ConfigError(f"--ticket: {source} cannot be read: {reason}") from error
    except JoinError as error:
        raise ConfigError(
            f"--ticket: {source} holds no ticket ({error.reason}); `stsd peers ticket` makes one"
        ) from error


def _seed(file: Path) -> bytes:
    if not file.exists():
        write_new(file, os.urandom(SEED_BYTES).hex().encode())
    try:
        return bytes.fromhex(file.read_text())
    except ValueError as error:
        raise ConfigError(f"{file}: damaged; remove it, and join with a new ticket") from error


def _post(url: str, body: bytes, believed: ssl.SSLContext | None) -> tuple[bytes, bool]:
    """The answer, and whether it came through a router."""
    request = urllib.request.Request(url, body, method="POST")  # noqa: S310 - the scheme is checked
    with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=believed) as answer:  # noqa: S310
        content: bytes = answer.read(joining.MAX_ANSWER_BYTES + 1)
    if len(content) > joining.MAX_ANSWER_BYTES:
        raise JoinError("oversized")
    return content, ROUTED in answer.headers


def _files(content: dict[str, Any], sponsor: str, held: HeldTicket, seed: bytes, url: str) -> dict[str, bytes]:
    """The files of the new node, `node.json` last. Raises JoinError when they do not open."""
    try:
        cluster_key = bytes.fromhex(content["cluster_key"])
        shared = {
            name: bytes.fromhex(content["files"][name]) for name in (provision.WORLD_FILE, provision.TOKEN_KEYS_FILE)
        }
        node = NodeFile(
            held.ticket.region,
            founding=False,
            world_digest=str(content["world_digest"]),
            issuer=str(content["issuer"]),
            epoch=int(content["epoch"]),
            port=urlsplit(url).port,
            urls=_urls(content, held) | ({str(content["region"]): sponsor} if sponsor else {}),
        )
        files = {
            provision.CLUSTER_KEY_FILE: cluster_key.hex().encode() + b"\n",
            **shared,
            provision.IDENTITY_FILE: keyset.seal(cluster_key, seed.hex(), os.urandom),
            provision.PEERS_FILE: provision.peers_file(PeerSet(held.root_key, map(bytes.fromhex, content["peers"]))),
            provision.NODE_FILE: provision.node_file(node),
        }
        provision.read_node_files(cluster_key, files, "the answer")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise JoinError("malformed") from error
    return files


def _urls(content: dict[str, Any], held: HeldTicket) -> dict[str, str]:
    """Where the sponsor reaches the other regions: what their records say may hold on their machines alone."""
    told = {str(region): str(url) for region, url in content["urls"].items()}
    if not all(map(is_url, told.values())):
        raise ValueError("urls")
    return {region: url for region, url in told.items() if region != held.ticket.region}


def _refusal(error: urllib.error.HTTPError) -> str:
    try:
        told = orjson.loads(error.read(65_536))["error"]
        return str(told["message"])
    except (ValueError, TypeError, KeyError, OSError):
        return f"status {error.code}"
