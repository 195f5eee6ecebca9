"""The peer set of a running node: kept on disk before it counts, told to every peer, and heard from them.

Each second every peer hears the digest of what is known here; who knows something else sends all of it. A record that
came is on disk before it has any effect, so a ticket that was used is used after a crash too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from stsd import provision
from stsd.provision import PEERS_FILE
from stsd.revocation.messages import PeerNews
from stsd.revocation.peer_set import PeerSet
from stsd.server.store import write_private

Noted = Callable[[str], None]
"""Called with why a record changed nothing."""


class Membership:
    """The peer set in the directory of the node of region `own` that signs with `public_key`; `overrides` are URLs by
    region that go before those of records. `changed` is called when the set grew."""

    def __init__(
        self, directory: Path, peers: PeerSet, own: str, public_key: bytes, overrides: Mapping[str, str]
    ) -> None:
        self.peers = peers
        self.changed: Callable[[], None] = lambda: None
        self._file = directory / PEERS_FILE
        self._own, self._public_key, self._overrides = own, public_key, overrides
        self._writing = asyncio.Lock()

    @property
    def left(self) -> bool:
        """Whether this node itself belongs to the cluster no more: it was removed, or its ticket named another one."""
        return not self.peers.is_member(self._own, self._public_key)

    def urls(self) -> dict[str, str]:
        """Where the other regions' nodes are. Who left the cluster has no others."""
        members = {} if self.left else self.peers.members()
        return {
            region: self._overrides.get(region, peer.url) for region, peer in members.items() if region != self._own
        }

    def news(self, epoch: int, *, whole: bool = False) -> PeerNews:
        """What to tell a peer."""
        return PeerNews(epoch, self.peers.digest(), self.peers.records() if whole else ())

    async def hear(self, news: PeerNews, refused: Noted) -> bool:
        """Take in what a peer knows. Returns whether it lacks something that is known here. Raises OSError when it
        cannot be stored: then nothing changed."""
        if news.digest == self.peers.digest():
            return False
        await self.keep(news.records, refused)
        return news.digest != self.peers.digest() and self.peers.knows_more_than(news.records)

    async def keep(self, records: Iterable[bytes], refused: Noted) -> None:
        """Store records, then take them in. Raises OSError when they cannot be stored: then nothing changed."""
        async with self._writing:
            grown = self.peers.copy()
            records = tuple(records)
            results = [grown.take(record) for record in records]
            for reason in results:
                if reason not in ("new", "known"):
                    refused(reason)
            if "new" not in results:
                return
            await asyncio.to_thread(write_private, self._file, provision.peers_file(grown))
            for record in records:
                self.peers.take(record)
        self.changed()
