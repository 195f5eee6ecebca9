"""JetStream as this backbone uses it: publish once, read from a place on, make the region's streams.

Only the plain API that servers since 2.9 have: a push consumer without acknowledgements, kept in memory, that its
server forgets when nobody listens. A reader that misses a message, or hears nothing for two heartbeats of the
consumer, ends with BackboneUnavailable; whoever reads begins anew behind what it got.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from stsd import nats_layout
from stsd.revocation import codec
from stsd.revocation.messages import Delta, Origin
from stsd.server.backbone import BackboneUnavailable
from stsd.server.backbone.nats.connection import Connection, answer_of

HEARTBEAT_S = 1.0
SILENCE_S = 2.5
FORGOTTEN_AFTER_S = 10.0
OTHER_CONFIGURATION = "jetstream_10058"
MESSAGE_ID = "Nats-Msg-Id"
CHUNK_MESSAGES = 64
"""What is taken in together, with one sync of the journal."""
READ_AGAIN_S = 60.0
"""A read by time begins this much before: clocks differ, and what is read twice is known."""


class Kept(NamedTuple):
    """A message of a stream, and the region on whose subject it was published."""

    region: str
    payload: bytes


class Chunk(NamedTuple):
    """Messages that arrived together; `end` when all that the stream held at first was read."""

    kept: list[Kept]
    end: bool


async def make_published(connection: Connection, cluster: str, region: str) -> None:
    """Our region's own stream, as it should be. Raises BackboneUnavailable."""
    await _make(connection, region, nats_layout.published_stream(cluster, region))


async def make_gathered(connection: Connection, region: str, peers: Sequence[str]) -> set[str]:
    """The stream that gathers all; returns the peers whose own stream has not been seen yet. A source begins well only
    when its stream is there: one that is not is tried again after ten seconds, or later. Raises BackboneUnavailable."""
    known = nats_layout.gathers_from(await _config(connection, region, nats_layout.gathered(region)))
    new = [peer for peer in peers if peer not in known]
    seen = await asyncio.gather(*(_config(connection, peer, nats_layout.published(peer)) for peer in new))
    missing = {peer for peer, config in zip(new, seen, strict=True) if not config}
    await _make(connection, region, nats_layout.gathered_stream(region, set(peers) - missing))
    return missing


async def _config(connection: Connection, domain: str, stream: str) -> dict[str, Any]:
    """How a stream is made, empty where none answers."""
    with suppress(BackboneUnavailable):
        answer = await connection.ask(f"{nats_layout.api(domain)}.STREAM.INFO.{stream}", {})
        return dict(answer["config"])
    return {}


async def _make(connection: Connection, domain: str, wanted: Mapping[str, Any]) -> None:
    """Make a stream, or make it what it should be."""
    prefix = f"{nats_layout.api(domain)}.STREAM"
    try:
        await connection.ask(f"{prefix}.CREATE.{wanted['name']}", wanted)
    except BackboneUnavailable as error:
        if error.reason != OTHER_CONFIGURATION:
            raise
        await connection.ask(f"{prefix}.UPDATE.{wanted['name']}", wanted)


async def publish(connection: Connection, cluster: str, push: Delta) -> str:
    """Have our region's stream keep a batch; the stream that did. Raises BackboneUnavailable."""
    (batch,) = push.batches
    subject = nats_layout.batch_subject(cluster, batch.origin)
    headers = {MESSAGE_ID: nats_layout.message_id(batch)}
    answer = answer_of(await connection.request(subject, codec.encode_message(push), headers))
    return str(answer.get("stream", ""))


async def published_up_to(connection: Connection, cluster: str, origin: Origin) -> int:
    """The last sequence of an origin in its region's stream; 0 when there is none. Raises BackboneUnavailable."""
    question = {"last_by_subj": nats_layout.batch_subject(cluster, origin)}
    subject = f"{nats_layout.api(origin.region)}.DIRECT.GET.{nats_layout.published(origin.region)}"
    message = await connection.request(subject, orjson.dumps(question))
    headers = message.headers or {}
    status = headers.get("Status")
    if status == "404":
        return 0
    if status is not None:
        raise BackboneUnavailable(f"status_{status}")
    try:
        return nats_layout.last_sequence(headers.get(MESSAGE_ID, ""))
    except ValueError:
        return 0  # no message of ours: whatever it is, ours is not kept


async def read(connection: Connection, domain: str, stream: str, since: float = 0.0) -> AsyncGenerator[Chunk]:
    """The messages of a stream since an instant (Unix seconds), and what comes later. Raises BackboneUnavailable;
    close it (`aclosing`)."""
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = connection.client.new_inbox()
    subscription = await connection.subscribe(inbox, arrived.put)
    name = ""
    try:
        question = {"stream_name": stream, "config": _consumer(inbox, since)}
        made = await connection.ask(f"{nats_layout.api(domain)}.CONSUMER.CREATE.{stream}", question)
        name, pending, read_so_far = str(made["name"]), int(made.get("num_pending", 0)), 0
        if not pending:
            yield Chunk([], end=True)
        while True:
            kept = await _next(connection, arrived, read_so_far)
            read_so_far += len(kept)
            yield Chunk(kept, end=pending > 0 and read_so_far >= pending)
            pending = 0 if read_so_far >= pending else pending
    except TimeoutError:
        raise BackboneUnavailable("silent") from None
    except (NatsError, OSError, ValueError) as error:
        raise BackboneUnavailable(str(error) or type(error).__name__) from error
    finally:
        delete = f"{nats_layout.api(domain)}.CONSUMER.DELETE.{stream}.{name}" if name else ""
        await _forget(connection, subscription, delete)


async def _next(connection: Connection, arrived: asyncio.Queue[Msg], read_so_far: int) -> list[Kept]:
    """What has arrived; empty after a heartbeat. Raises TimeoutError when nothing does, BackboneUnavailable when
    something before it did not."""
    async with asyncio.timeout(SILENCE_S):
        message = await arrived.get()
    kept: list[Kept] = []
    while True:
        headers = message.headers or {}
        if "Status" in headers:
            await _let_flow(connection, message, headers)
        else:
            if message.metadata.sequence.consumer != read_so_far + len(kept) + 1:
                raise BackboneUnavailable("missed_messages")
            kept.append(Kept(nats_layout.region_of_batches(message.subject), message.data))
        if arrived.empty() or len(kept) >= CHUNK_MESSAGES:
            return kept
        message = arrived.get_nowait()


def _consumer(inbox: str, since: float) -> dict[str, Any]:
    """A consumer that reads one stream to one listener."""
    config: dict[str, Any] = {
        "deliver_subject": inbox,
        "ack_policy": "none",
        "replay_policy": "instant",
        "max_deliver": 1,
        "mem_storage": True,
        "num_replicas": 1,
        "flow_control": True,
        "idle_heartbeat": int(HEARTBEAT_S * nats_layout.NANOSECONDS),
        "inactive_threshold": int(FORGOTTEN_AFTER_S * nats_layout.NANOSECONDS),
    }
    if since > READ_AGAIN_S:
        start = datetime.fromtimestamp(since - READ_AGAIN_S, UTC).isoformat()
        return config | {"deliver_policy": "by_start_time", "opt_start_time": start}
    return config | {"deliver_policy": "all"}


async def _let_flow(connection: Connection, message: Msg, headers: Mapping[str, str]) -> None:
    """A heartbeat, or a question whether we follow: it is answered when everything before it was read."""
    reply = message.reply or headers.get("Nats-Consumer-Stalled")
    if reply:
        await connection.publish(reply, b"")


async def _forget(connection: Connection, subscription: Subscription, delete: str) -> None:
    """End a consumer; one that cannot be told is forgotten by its server."""
    with suppress(NatsError, OSError, BackboneUnavailable):
        await subscription.unsubscribe()
        if delete:
            await connection.publish(delete, b"")


def delta_of(payload: bytes) -> Delta:
    """The batch that a stream kept, with the key of its origin. Raises CodecError."""
    message = codec.decode_message(payload)
    if not isinstance(message, Delta) or len(message.batches) != 1:
        raise codec.CodecError("unknown_type")
    return message


def joined(deltas: Sequence[Delta]) -> list[tuple[str, Delta]]:
    """Batches as few messages, one for each region and epoch, with the region that they come from: it has synced what
    it published."""
    found: dict[tuple[str, int], list[Delta]] = {}
    for delta in deltas:
        found.setdefault((delta.batches[0].origin.region, delta.epoch), []).append(delta)
    return [(region, _join(group)) for (region, _), group in found.items()]


def _join(deltas: Sequence[Delta]) -> Delta:
    batches = tuple(delta.batches[0] for delta in deltas)
    keys = {key.origin: key for delta in deltas for key in delta.identities}
    return Delta(deltas[0].epoch, batches, identities=tuple(keys.values()))
