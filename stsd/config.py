"""Settings of one node, read once. Everything else receives the values it needs.

Relative paths are of the working directory. Errors are ConfigError: one line per fault that says what, where and how
to mend it; the command line prints them and exits 2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from stsd.regions import is_region

DEFAULT_REGION = "us-east-1"
DEFAULT_PORT = 8711
MIN_RESOURCE_SERVER_KEY_CHARACTERS = 16
_RESOURCE_SERVER_KEY = re.compile(f"[!-~]{{{MIN_RESOURCE_SERVER_KEY_CHARACTERS},}}")
_PORT = re.compile("[0-9]{1,5}")


class ConfigError(ValueError):
    """Settings that cannot be used; each line of the text is one fault."""


@dataclass(frozen=True, slots=True)
class Config:
    """One node's settings.

    `port` 0 takes any free port. `peers` maps other regions to URLs that go before those of the peer set.
    `cluster_key` None means `cluster.key` in the data directory. `issuer` None means the node's own URL.
    `backbone` names the NATS servers that carry replication, in the order in which they are tried; none means that
    nodes call each other. `metrics_listen` is an extra `host:port` for /metrics, needed when the node does not listen
    on loopback. `quota_per_s` is how many requests a second each account may make here; None is without limit.
    `drain_s` is how long it goes on serving after SIGTERM, in seconds: as long as those in front need to see that it is
    not ready.
    """

    region: str = DEFAULT_REGION
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    data_dir: Path = Path(".stsd-node")
    world: Path | None = None
    issuer: str | None = None
    cluster_key: Path | None = None
    peers: Mapping[str, str] = field(default_factory=dict)
    backbone: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    log_format: Literal["text", "json"] = "text"
    metrics_listen: tuple[str, int] | None = None
    resource_server_keys: Path | None = None
    quota_per_s: int | None = None
    drain_s: float = 0.0
    unsafe_test_hooks: bool = False

    @property
    def cluster_key_file(self) -> Path:
        """Where the cluster key is read from, or made for a node of its own."""
        return self.cluster_key or self.data_dir / "cluster.key"

    @property
    def url(self) -> str:
        """Where this node listens."""
        return f"{self.scheme}://{in_url(self.host)}:{self.port}"

    @property
    def scheme(self) -> str:
        """`https` when TLS was asked for."""
        return "https" if self.tls_cert else "http"


def remembered(data_dir: Path) -> dict[str, Any]:
    """The region of a node's data directory and, where it joined a cluster, its port; nothing where it is no node's.
    Whether the directory can be used, who opens it finds out."""
    try:
        node = json.loads((data_dir / "node.json").read_bytes())
        return {name: node[name] for name in ("region", "port") if name in node}
    except (OSError, ValueError, TypeError):
        return {}


def region(text: str) -> str:
    """A region's name (contract 2). Raises ConfigError."""
    if not is_region(text):
        raise ConfigError(f"--region: {text!r} is not a region name; examples: us-east-1, eu-west-1")
    return text


def host(text: str) -> str:
    """A name or address to listen on. Raises ConfigError."""
    if not _is_host(text):
        raise ConfigError(f"--host: {text!r} is not a host name or an address; examples: 127.0.0.1, ::1")
    return text


def peers(texts: tuple[str, ...], own: str) -> dict[str, str]:
    """`REGION=URL` texts as a mapping. Raises ConfigError."""
    found: dict[str, str] = {}
    for text in texts:
        name, _, url = text.partition("=")
        if not is_region(name) or not is_url(url):
            raise ConfigError(f"--peer: {text!r} is not REGION=URL; example: eu-west-1=http://127.0.0.1:8702")
        if name == own or name in found:
            raise ConfigError(f"--peer: region {name} is given twice or is this node's own")
        found[name] = url.rstrip("/")
    return found


def backbone(text: str) -> tuple[str, ...]:
    """The URLs of NATS servers, with commas between them. Raises ConfigError."""
    urls = tuple(text.split(","))
    for url in urls:
        if fault := _fault_of_broker(url):
            raise ConfigError(f"--backbone: {fault}; example: nats://127.0.0.1:4222,nats://127.0.0.1:4223")
    return urls


def _fault_of_broker(url: str) -> str:
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("nats", "tls") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known or parts.path or parts.query or parts.fragment:
        return "each server is nats://HOST:PORT or tls://HOST:PORT"
    if "@" in parts.netloc:
        return "no user and no password: a node proves who it is with its own key"
    if parts.scheme == "nats" and not is_loopback_host(parts.hostname or ""):
        return f"{parts.hostname} is not on this machine: use tls://"
    return ""


def issuer(text: str) -> str:
    """An issuer URL, without a final slash (OpenID Connect Discovery 1.0 section 4). Raises ConfigError."""
    if not is_url(text):
        raise ConfigError(f"--issuer: {text!r} is not an http or https URL")
    return text.rstrip("/")


def address(text: str) -> tuple[str, int]:
    """`HOST:PORT`, for IPv6 `[HOST]:PORT`. Raises ConfigError."""
    host, _, port = text.rpartition(":")
    if not (host and _is_host(host) and _PORT.fullmatch(port)) or int(port) > 65_535:
        raise ConfigError(f"--metrics-listen: {text!r} is not HOST:PORT; example: 127.0.0.1:9100")
    return host.strip("[]"), int(port)


def read_resource_server_keys(path: Path) -> tuple[str, ...]:
    """The keys of a file, one a line, `#` for comments. Raises ConfigError; the file must be private."""
    try:
        mode, lines = path.stat().st_mode, path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ConfigError(f"--resource-server-keys: {path} cannot be read: {reason}") from error
    if mode & 0o077:
        raise ConfigError(f"--resource-server-keys: {path} can be read by others; chmod 600 it")
    stripped = map(str.strip, lines)
    keys = tuple(line for line in stripped if line and not line.startswith("#"))
    if not keys or not all(map(_RESOURCE_SERVER_KEY.fullmatch, keys)):
        raise ConfigError(
            f"--resource-server-keys: {path}: each line holds one key of at least"
            f" {MIN_RESOURCE_SERVER_KEY_CHARACTERS} ASCII characters without spaces"
        )
    return keys


def in_url(host: str) -> str:
    """A host as it stands in a URL (RFC 3986 section 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def is_url(text: str) -> bool:
    """Whether a text is an http or https URL with a host."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_host(text: str) -> bool:
    """Whether a text can be looked up at all; resolvers raise an error of their own for what cannot."""
    try:
        return bool(text.encode("idna"))
    except UnicodeError:
        return False


def is_loopback_host(host: str) -> bool:
    """Whether listening on `host` reaches this machine only."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
