"""The names of a cluster's things in NATS, and what one node may do with them (design 2.5).

One account for the cluster, one JetStream domain per region (named as the region), one user per node:

| subject or stream | what |
|---|---|
| `stsd.C.rev.R.ORIGIN` | batches of one origin of region R, each once (`Nats-Msg-Id`) |
| `REV_R`, in domain R | all of R's batches, as R's nodes have published them |
| `ALL_R`, in domain R | every region's batches: its sources are all `REV_*` |
| `stsd.C.hb.R.ORIGIN` | heads and heartbeats, sealed for everybody; not stored |
| `stsd.C.to.R.FROM` | any other message to R's node, sealed for it; not stored |
| bucket `SNAP_R`, in domain R | R's latest snapshots |

`C` is derived from the cluster key, so that clusters in one NATS system stay apart. A user may read everything, and
publish only on the subjects of its own region and node; it can neither delete nor purge what was published.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

from stsd.revocation.messages import Batch, Origin

ACCOUNT = "STSD"
RETENTION_S = 37 * 3600
"""As long as the longest session lives, and an hour: what is older is over, or in snapshots (design 2.2)."""
MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
"""Of one message: an envelope between nodes fits in."""
EVERYBODY = "*"
"""Whom a heartbeat is sealed for."""
NANOSECONDS = 1_000_000_000
_KEPT: Mapping[str, Any] = {
    "retention": "limits", "storage": "file", "num_replicas": 1, "discard": "old", "max_age": RETENTION_S * NANOSECONDS,
    "allow_direct": True, "deny_delete": True, "deny_purge": True,
}  # fmt: skip
_READING = (
    *("STREAM.NAMES", "STREAM.INFO.*", "DIRECT.GET.*", "DIRECT.GET.*.>"),
    *("CONSUMER.CREATE.*", "CONSUMER.CREATE.*.>", "CONSUMER.DELETE.*.*", "CONSUMER.INFO.*.*"),
)


def cluster_name(cluster_key: bytes) -> str:
    """The `C` of the subjects: eight hexadecimal digits."""
    return blake2b(cluster_key, digest_size=4, person=b"stsd-nats-name").hexdigest()


def batch_subject(cluster: str, origin: Origin) -> str:
    """Where an origin's batches are published."""
    return f"stsd.{cluster}.rev.{origin.region}.{_token(origin)}"


def region_of_batches(subject: str) -> str:
    """On which region's `batch_subject` something was published."""
    return subject.split(".")[3]


def heartbeat_subject(cluster: str, origin: Origin) -> str:
    """Where an origin says how far it is."""
    return f"stsd.{cluster}.hb.{origin.region}.{_token(origin)}"


def letter_subject(cluster: str, to: str, sender: str) -> str:
    """Where a region's node says something to another one's."""
    return f"stsd.{cluster}.to.{to}.{sender}"


def subscriptions(cluster: str, own: str) -> tuple[str, str]:
    """All heartbeats, and everything for the node of region `own`."""
    return f"stsd.{cluster}.hb.*.*", letter_subject(cluster, own, "*")


def message_id(batch: Batch) -> str:
    """What tells a batch from every other one; a broker drops the second of two within its window."""
    return f"{batch.origin}/{batch.first}-{batch.last}"


def last_sequence(message_id: str) -> int:
    """The last sequence in a batch, from its message id. Raises ValueError."""
    return int(message_id.rpartition("-")[2])


def inbox_prefix(region: str) -> str:
    """Where answers to a region's node arrive, so that no other user hears them."""
    return f"_INBOX_{region}"


def published(region: str) -> str:
    """The stream of what a region has published."""
    return f"REV_{region}"


def gathered(region: str) -> str:
    """The stream in which a region gathers what all have published."""
    return f"ALL_{region}"


def snapshots(region: str) -> str:
    """The bucket of a region's snapshots; its stream is named `OBJ_` and this."""
    return f"SNAP_{region}"


def api(domain: str) -> str:
    """The prefix under which the JetStream of a domain answers, from wherever it is asked."""
    return f"$JS.{domain}.API"


def published_stream(cluster: str, region: str) -> dict[str, Any]:
    """`REV_R`, as JetStream wants it told."""
    return {**_KEPT, "name": published(region), "subjects": [f"stsd.{cluster}.rev.{region}.*"]}


def gathered_stream(region: str, others: Iterable[str]) -> dict[str, Any]:
    """`ALL_R`, which gathers from its own region and `others`."""
    sources: list[dict[str, Any]] = [{"name": published(region)}]
    sources += [{"name": published(other), "external": {"api": api(other), "deliver": ""}} for other in sorted(others)]
    return {**_KEPT, "name": gathered(region), "sources": sources}


def gathers_from(config: Mapping[str, Any]) -> set[str]:
    """The regions that a stream made so gathers from."""
    prefix = published("")
    return {str(source["name"]).removeprefix(prefix) for source in config.get("sources") or ()}


def may_publish(cluster: str, region: str) -> tuple[str, ...]:
    """The subjects on which the user of a region's node may publish."""
    own = (published(region), gathered(region), f"OBJ_{snapshots(region)}")
    local = ("$JS.API", api(region))  # the domain's own server checks the first form, the core the second
    return (
        f"stsd.{cluster}.rev.{region}.*",
        f"stsd.{cluster}.hb.{region}.*",
        letter_subject(cluster, "*", region),
        f"$O.{snapshots(region)}.>",
        *(f"{prefix}.STREAM.{verb}.{stream}" for prefix in local for verb in ("CREATE", "UPDATE") for stream in own),
        *(f"{prefix}.STREAM.{verb}.{own[2]}" for prefix in local for verb in ("PURGE", "MSG.GET")),
        *(f"{prefix}.{verb}" for prefix in ("$JS.API", "$JS.*.API") for verb in _READING),
        "$JS.FC.>",
    )


def may_subscribe(cluster: str, region: str) -> tuple[str, ...]:
    """The subjects that the user of a region's node may hear."""
    return (*subscriptions(cluster, region), f"{inbox_prefix(region)}.>")


def _token(origin: Origin) -> str:
    return f"{origin.node.replace('.', '_')}-{origin.incarnation}"
