"""The configuration files of a cluster's NATS servers: two for each region (design 2.5). Pure; `brokers` writes them.

The *core* server carries messages between regions: its gateways reach every other region's, and it stores nothing.
The *jetstream* server keeps the region's streams in a domain of its own, and hangs on the core as a leaf node. So a
region that is cut off has all of JetStream that it needs, and none of another region can take it away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cluster.topology import RegionPorts
from stsd import nats_layout

HOST = "127.0.0.1"
NOWHERE = f"{HOST}:1"
SYNC_SINCE = (2, 10)
"""Older servers know no `sync_interval: always`."""
SUPPORTED_SINCE = (2, 10, 26)
"""Sources of older servers may never resume after a partition, and 2.10.20 to 2.10.22 lose streams in a crash."""


@dataclass(frozen=True, slots=True)
class Region:
    """What one region's files say. `users` are the public nkeys of its nodes; `gateways` the ports on which it reaches
    the other regions' gateways; `store` is a folder."""

    name: str
    ports: RegionPorts
    users: tuple[str, ...]
    gateways: Mapping[str, int]
    gateway_password: str
    leaf_password: str
    store: str
    sync: bool = True


def core(region: Region, cluster: str) -> str:
    """`core.conf`."""
    gateways = "\n".join(
        f'    {{ name: "{name}", url: "nats://gateway:{region.gateway_password}@{HOST}:{port}" }}'
        for name, port in region.gateways.items()
    )
    return f"""\
# Region {region.name}: carries messages to and from the other regions; stores nothing.
server_name: "core-{region.name}"
listen: "{HOST}:{region.ports.core}"
{_LIMITS}
{_account(region, cluster, jetstream=False)}
# The jetstream server of this region connects here.
leafnodes {{
  listen: "{HOST}:{region.ports.leaf}"
  no_advertise: true
  authorization {{ user: jetstream, password: "{region.leaf_password}", account: {nats_layout.ACCOUNT} }}
}}

# The other regions are reached through the links, and tell each other no address that passes them by.
gateway {{
  name: "{region.name}"
  listen: "{HOST}:{region.ports.gateway}"
  advertise: "{NOWHERE}"
  reject_unknown_cluster: true
  connect_retries: 1000000
  authorization {{ user: gateway, password: "{region.gateway_password}" }}
  gateways: [
{gateways}
  ]
}}
"""


def jetstream(region: Region, cluster: str) -> str:
    """`jetstream.conf`."""
    sync = "\n  sync_interval: always" if region.sync else ""
    return f"""\
# Region {region.name}: keeps REV_{region.name}, ALL_{region.name} and SNAP_{region.name}.
server_name: "jetstream-{region.name}"
listen: "{HOST}:{region.ports.jetstream}"
{_LIMITS}
jetstream {{
  domain: "{region.name}"
  store_dir: "{region.store}"{sync}
}}

{_account(region, cluster, jetstream=True)}
leafnodes {{
  reconnect: 1
  remotes: [
    {{ url: "nats-leaf://jetstream:{region.leaf_password}@{HOST}:{region.ports.leaf}", account: {nats_layout.ACCOUNT} }}
  ]
}}
"""


def parse_version(text: str) -> tuple[int, ...]:
    """The version in what `nats-server --version` says; empty when there is none."""
    word = text.rpartition("v")[2].strip()
    numbers = word.partition("-")[0].split(".")
    return tuple(map(int, numbers)) if all(number.isdecimal() for number in numbers) else ()


_LIMITS = f"""\
max_payload: {nats_layout.MAX_PAYLOAD_BYTES // 1024 // 1024}MB
ping_interval: "2s"
ping_max: 2
write_deadline: "5s"
"""


def _account(region: Region, cluster: str, *, jetstream: bool) -> str:
    enabled = "\n    jetstream: enabled" if jetstream else ""
    users = "\n".join(_user(user, region.name, cluster) for user in region.users)
    return f"""\
system_account: SYS
accounts {{
  SYS {{}}
  {nats_layout.ACCOUNT} {{{enabled}
    users: [
{users}
    ]
  }}
}}
"""


def _user(public: str, region: str, cluster: str) -> str:
    publish, subscribe = nats_layout.may_publish(cluster, region), nats_layout.may_subscribe(cluster, region)
    return f"""\
      {{
        nkey: {public}
        permissions {{
          publish {{ allow: [
{_subjects(publish)}
          ] }}
          subscribe {{ allow: [
{_subjects(subscribe)}
          ] }}
        }}
      }}"""


def _subjects(subjects: Iterable[str]) -> str:
    return "\n".join(f'            "{subject}"' for subject in subjects)
