"""One connection to one of a region's NATS servers: as settled in design 2.10, and with an end that is noticed.

The library's own reconnecting is off: whoever holds a connection sees it end and makes a new one, with everything that
belongs to it. So nothing waits in a buffer of the client for a server that may never come back. A server that is
silent for two pings is gone.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import nats
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from stsd import nats_layout
from stsd.nats_user import User
from stsd.server.backbone import BackboneUnavailable

CONNECT_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0
ASK_TIMEOUT_S = 1.0
PING_INTERVAL_S = 2
PINGS_UNANSWERED = 2
LOOK_INTERVAL_S = 0.5


class Connection:
    """An open connection; `ended` is set when it is one no more."""

    def __init__(self, client: Client, ended: asyncio.Event) -> None:
        self.client = client
        self.ended = ended

    @classmethod
    async def open(cls, url: str, region: str, user: User, failed: Callable[[Exception], None]) -> Connection:
        """Connect to one server; `failed` hears what goes wrong later. Raises BackboneUnavailable."""
        ended, opened = asyncio.Event(), False

        async def closed() -> None:
            ended.set()

        async def went_wrong(error: Exception) -> None:
            if opened:
                failed(error)

        client = Client()
        options: dict[str, Any] = {
            "servers": [url],
            "name": f"stsd {region}",
            "allow_reconnect": False,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "ping_interval": PING_INTERVAL_S,
            "max_outstanding_pings": PINGS_UNANSWERED,
            "nkeys_seed_str": user.seed,
            "inbox_prefix": nats_layout.inbox_prefix(region),
            "closed_cb": closed,
            "error_cb": went_wrong,
        }
        if url.startswith("tls://"):
            options["tls"] = ssl.create_default_context()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):  # the library may try for ever
                await client.connect(**options)
        except (OSError, NatsError, TimeoutError, ValueError) as error:
            await _close(client)
            raise BackboneUnavailable(_reason(error)) from error
        opened = True
        return cls(client, ended)

    @property
    def server(self) -> Mapping[str, str]:
        """Name and version of the server, for the log."""
        info = self.client._server_info
        return {"server": str(info.get("server_name", "")), "version": str(info.get("version", ""))}

    async def over(self) -> None:
        """Wait until it has ended. The library tells of that when all that it had to send has left, so never while a
        server takes nothing; that it has given up is to be seen before."""
        while not (self.ended.is_set() or self.client.is_closed):
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_INTERVAL_S):
                    await self.ended.wait()

    async def subscribe(self, subject: str, heard: Callable[[Msg], Awaitable[None]]) -> Subscription:
        """Have `heard` take every message on a subject. Raises BackboneUnavailable."""
        try:
            return await self.client.subscribe(subject, cb=heard)
        except (OSError, NatsError) as error:
            raise BackboneUnavailable(_reason(error)) from error

    async def publish(self, subject: str, payload: bytes) -> None:
        """Send to whoever listens now. Raises BackboneUnavailable."""
        try:
            await self.client.publish(subject, payload)
        except (OSError, NatsError) as error:
            raise BackboneUnavailable(_reason(error)) from error

    async def request(self, subject: str, payload: bytes, headers: dict[str, str] | None = None) -> Msg:
        """The answer to a message. Raises BackboneUnavailable."""
        try:
            return await self.client.request(subject, payload, timeout=ASK_TIMEOUT_S, headers=headers)
        except (OSError, NatsError, TimeoutError) as error:
            raise BackboneUnavailable(_reason(error)) from error

    async def ask(self, subject: str, question: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON that JetStream answers with. Raises BackboneUnavailable, for an error of JetStream too."""
        return answer_of(await self.request(subject, orjson.dumps(question)))

    async def close(self) -> None:
        """End it; nothing that is still to be sent is waited for."""
        await _close(self.client)
        self.ended.set()


async def _close(client: Client) -> None:
    """The library waits for the end of a connection, and one that failed in its TLS handshake, or whose server takes
    nothing any more, never tells of it: what it has not sent by then is given up."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await client.close()
    writer = getattr(client._transport, "_io_writer", None)
    if writer is not None:
        writer.transport.abort()


def answer_of(message: Msg) -> dict[str, Any]:
    """The members of a JetStream answer. Raises BackboneUnavailable."""
    try:
        answer = orjson.loads(message.data)
        error = answer.get("error")
    except (ValueError, AttributeError):
        raise BackboneUnavailable("not_json") from None
    if error:
        raise BackboneUnavailable(f"jetstream_{error.get('err_code', error.get('code'))}")
    assert isinstance(answer, dict)
    return answer


def _reason(error: Exception) -> str:
    """A word or two for the log."""
    if isinstance(error, nats.errors.NoRespondersError):
        return "no_responders"
    if isinstance(error, TimeoutError):
        return "timeout"
    return str(error) or type(error).__name__
