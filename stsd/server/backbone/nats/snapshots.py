"""A region's snapshots in the object store of its own domain: the latest three, each with the digest that the store
checks."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ObjectMeta
from nats.js.errors import BadObjectMetaError, BucketNotFoundError, DigestMismatchError, NotFoundError
from nats.js.object_store import ObjectStore

from stsd import nats_layout
from stsd.server.backbone import SNAPSHOTS_KEPT, BackboneUnavailable
from stsd.server.backbone.nats.connection import Connection

_PLACES = tuple(f"place-{number}" for number in range(SNAPSHOTS_KEPT))
TIMEOUT_S = 10.0
"""Of one question. The library waits for ever for what is lost of the answers to some."""
TRANSFER_TIMEOUT_S = 60.0
"""Of a whole snapshot, which may have tens of megabytes."""


async def put(connection: Connection, region: str, snapshot: bytes) -> None:
    """Keep a snapshot in the place of the oldest. Raises BackboneUnavailable."""
    try:
        bucket = await _bucket(connection, region, make=True)
        kept = await _kept(bucket)
        number = max(kept, default=0) + 1
        free = set(_PLACES) - set(kept.values())
        name = min(free) if free else kept[min(kept)]
        await bucket.put(name, snapshot, ObjectMeta(description=str(number)))
    except (NatsError, OSError, TimeoutError) as error:
        raise BackboneUnavailable(type(error).__name__) from error


async def get(connection: Connection, region: str) -> bytes | None:
    """The newest snapshot that is whole; None when there is none. Raises BackboneUnavailable."""
    try:
        bucket = await _bucket(connection, region, make=False)
        kept = await _kept(bucket)
        for number in sorted(kept, reverse=True):
            with suppress(DigestMismatchError, BadObjectMetaError, NotFoundError):
                return await _content(bucket, kept[number])
    except (BucketNotFoundError, NotFoundError):
        return None
    except (NatsError, OSError, TimeoutError) as error:
        raise BackboneUnavailable(type(error).__name__) from error
    return None


async def _bucket(connection: Connection, region: str, *, make: bool) -> ObjectStore:
    jetstream = JetStreamContext(connection.client, prefix=nats_layout.api(region), timeout=TIMEOUT_S)
    name = nats_layout.snapshots(region)
    if make:
        return await jetstream.create_object_store(name)
    return await jetstream.object_store(name)


async def _content(bucket: ObjectStore, name: str) -> bytes:
    """A whole snapshot. Raises BackboneUnavailable when the connection ended before it was: the library says nothing
    then."""
    async with asyncio.timeout(TRANSFER_TIMEOUT_S):
        found = await bucket.get(name)
    data = bytes(found.data or b"")
    if len(data) != (found.info.size or 0):
        raise BackboneUnavailable("cut_off")
    return data


async def _kept(bucket: ObjectStore) -> dict[int, str]:
    """The places that hold a snapshot, by its number: the highest is the newest."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            found = await bucket.list(ignore_deletes=True)
    except NotFoundError:
        return {}
    numbered = ((each.description or "", each.name) for each in found)
    return {int(number): name for number, name in numbered if number.isdecimal()}
