"""A node's own snapshots as files of its data directory: the latest three, each written whole or not at all."""

from __future__ import annotations

import asyncio
from pathlib import Path

from stsd.server.backbone import SNAPSHOTS_KEPT, BackboneUnavailable
from stsd.server.store import write_private


class SnapshotFiles:
    """The snapshots in `folder`, which is made when it is needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, snapshot: bytes) -> None:
        """Keep a snapshot and forget the oldest. Raises BackboneUnavailable."""
        await asyncio.to_thread(self._put, snapshot)

    async def get(self) -> bytes | None:
        """The newest one. Raises BackboneUnavailable."""
        return await asyncio.to_thread(self._get)

    def _put(self, snapshot: bytes) -> None:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            kept = self._kept()
            write_private(self._folder / f"{max(kept, default=0) + 1}.snapshot", snapshot)
            for number in sorted(kept)[: len(kept) + 1 - SNAPSHOTS_KEPT]:
                kept[number].unlink()
        except OSError as error:
            raise BackboneUnavailable(error.strerror or "disk") from error

    def _get(self) -> bytes | None:
        try:
            kept = self._kept()
            return kept[max(kept)].read_bytes() if kept else None
        except OSError as error:
            raise BackboneUnavailable(error.strerror or "disk") from error

    def _kept(self) -> dict[int, Path]:
        found = self._folder.glob("*.snapshot") if self._folder.is_dir() else ()
        return {int(path.stem): path for path in found if path.stem.isdecimal()}
