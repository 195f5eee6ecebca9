"""The revocation journal: SQLite in WAL mode with `synchronous=FULL`, so that what was committed survives kill -9.

One writer, the node; every commit syncs before it returns. A journal that cannot be written refuses changes, it never
stops reads (contract 10).
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import aiosqlite

from stsd.config import ConfigError
from stsd.mfa import Failed

FORMAT = "4"
FORMAT_3 = """BEGIN;
CREATE TABLE checkpoint (only INTEGER PRIMARY KEY CHECK (only = 1), body BLOB NOT NULL);
UPDATE meta SET value = '3' WHERE name = 'format';
COMMIT;"""
"""What makes a journal of format 2 one of format 3: nothing was pruned yet."""
FORMAT_4 = """BEGIN;
CREATE TABLE failed_codes (device TEXT PRIMARY KEY, period INTEGER NOT NULL, failures INTEGER NOT NULL) WITHOUT ROWID;
UPDATE meta SET value = '4' WHERE name = 'format';
COMMIT;"""
"""What makes a journal of format 3 one of format 4: no MFA code was refused yet."""
DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
"""What SQLite calls a file that is wrong in itself."""
KEEP_CHECKPOINT = "INSERT OR REPLACE INTO checkpoint VALUES (1, ?)"
KEEP_BATCH = """INSERT INTO batches SELECT ?1, ?2, ?3
WHERE NOT EXISTS (SELECT 1 FROM batches WHERE origin = ?1 AND first = ?2 AND body = ?3)"""
"""Nothing where the same row is there already; the primary key refuses another content."""
Row = tuple[str, int, bytes]
"""Origin, first sequence, encoded batch."""
Identity = tuple[str, bytes, bytes]
"""Origin, public key, proof."""


class JournalError(Exception):
    """The journal did not store a change; the text is for the log."""


class JournalConflict(JournalError):
    """A batch of another content is stored under this origin and sequence: a commit that failed did reach the disk."""


class Journal:
    """An open journal. All times a transaction takes are off the event loop."""

    def __init__(self, path: Path, connection: aiosqlite.Connection, created: bool) -> None:
        self._path, self._connection = path, connection
        self._lock = asyncio.Lock()
        self.created = created

    @classmethod
    async def open(cls, path: Path) -> Journal:
        """Open or make the journal. Raises ConfigError when the file is not ours or not readable."""
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        except OSError as error:
            raise ConfigError(f"{path}: the journal cannot be opened: {error.strerror}") from error
        connection = await aiosqlite.connect(path)
        try:
            await connection.execute("PRAGMA journal_mode=WAL")
            await connection.execute("PRAGMA synchronous=FULL")
            created = await _is_empty(connection)
            if created:
                await connection.executescript(resources.files("stsd.server").joinpath("schema.sql").read_text())
            journal = cls(path, connection, created)
            found = (await journal.meta()).get("format")
            if found == "2":
                await connection.executescript(FORMAT_3)
                found = "3"
            if found == "3":
                await connection.executescript(FORMAT_4)
                found = "4"
            if found == "1":
                raise ConfigError(
                    f"{path}: a journal of format 1, whose batches are not signed; this version needs format {FORMAT}:"
                    " move the file away on every node of the cluster, then revoke anew what must stay revoked"
                )
            if found != FORMAT:
                raise ConfigError(f"{path}: not a journal of format {FORMAT}")
        except sqlite3.Error as error:
            await connection.close()
            raise _unreadable(path, error) from error
        except ConfigError:
            await connection.close()
            raise
        return journal

    async def meta(self) -> dict[str, str]:
        """Settings kept with the journal. Raises ConfigError, as whatever reads it does: the file is damaged in a place
        that opening it did not need."""
        return {str(name): str(value) for name, value in await self._read("SELECT name, value FROM meta")}

    async def rows(self) -> list[Row]:
        """Every batch, each origin's in order."""
        sql = "SELECT origin, first, body FROM batches ORDER BY origin, first"
        return [(origin, first, body) for origin, first, body in await self._read(sql)]

    async def append(self, row: Row) -> None:
        """Store a batch of our own, synced. Raises JournalError; JournalConflict if its place is taken."""
        await self._transaction([("INSERT INTO batches VALUES (?, ?, ?)", [row])])

    async def keep(self, rows: Sequence[Row], checkpoint: bytes | None = None) -> None:
        """Store batches of others, synced, all or none; the same may be there already. With them, where the logs begin,
        if that has changed. Raises JournalError; JournalConflict while a batch of another history has a place."""
        if rows or checkpoint is not None:
            kept = [] if checkpoint is None else [(checkpoint,)]
            await self._transaction([(KEEP_BATCH, rows), (KEEP_CHECKPOINT, kept)])

    async def prune(self, rows: Sequence[Row], checkpoint: bytes | None = None) -> None:
        """Delete these batches, and none of another history in their places; say where the logs begin, if any begins
        elsewhere, in the same transaction. Raises JournalError."""
        deletion = ("DELETE FROM batches WHERE origin = ? AND first = ? AND body = ?", rows)
        kept = [] if checkpoint is None else [(checkpoint,)]
        await self._transaction([deletion, (KEEP_CHECKPOINT, kept)])

    async def checkpoint(self) -> bytes | None:
        """Where the logs begin; None while nothing was pruned."""
        for (body,) in await self._read("SELECT body FROM checkpoint"):
            return bytes(body)
        return None

    async def drop(self, places: Sequence[tuple[str, int]]) -> None:
        """Remove damaged batches, so that whole ones can take their places. Raises JournalError."""
        await self._transaction([("DELETE FROM batches WHERE origin = ? AND first = ?", places)])

    async def drop_checkpoint(self) -> None:
        """Remove a damaged checkpoint. Raises JournalError."""
        await self._transaction([("DELETE FROM checkpoint", [()])])

    async def identities(self) -> list[Identity]:
        """Which key each origin signs with."""
        found = await self._read("SELECT origin, public_key, proof FROM identities ORDER BY origin")
        return [(str(origin), bytes(public_key), bytes(proof)) for origin, public_key, proof in found]

    async def keep_identities(self, rows: Sequence[Identity]) -> None:
        """Store which keys origins sign with; the first one stays. Raises JournalError."""
        await self._transaction([("INSERT OR IGNORE INTO identities VALUES (?, ?, ?)", rows)])

    async def forks(self) -> list[tuple[bytes, bytes]]:
        """The proofs of forks: two encoded batches each."""
        found = await self._read("SELECT held, other FROM forks ORDER BY origin")
        return [(bytes(held), bytes(other)) for held, other in found]

    async def keep_forks(self, rows: Sequence[tuple[str, bytes, bytes]]) -> None:
        """Store the proofs of forks; the first one of an origin stays. Raises JournalError."""
        await self._transaction([("INSERT OR IGNORE INTO forks VALUES (?, ?, ?)", rows)])

    async def failed_codes(self) -> list[Failed]:
        """How often MFA codes of each device were refused, in the window of the last time."""
        found = await self._read("SELECT device, period, failures FROM failed_codes")
        return [Failed(str(device), int(window), int(failures)) for device, window, failures in found]

    async def keep_failed_code(self, failed: Failed) -> None:
        """Store that an MFA code was refused, synced. Raises JournalError."""
        row = (failed.device, failed.window, failed.failures)
        await self._transaction([("INSERT OR REPLACE INTO failed_codes VALUES (?, ?, ?)", [row])])

    async def set_meta(self, **values: str) -> None:
        """Store settings, synced. Raises JournalError."""
        await self._transaction([("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items()))])

    async def reset(self, **values: str) -> None:
        """Forget every batch and store settings, in one transaction (contract 8). Raises JournalError."""
        await self._transaction(
            [
                ("DELETE FROM batches", [()]),
                ("DELETE FROM identities", [()]),
                ("DELETE FROM forks", [()]),
                ("DELETE FROM checkpoint", [()]),
                ("DELETE FROM failed_codes", [()]),
                ("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items())),
            ]
        )

    async def close(self) -> None:
        """Close the file; everything in it is already synced."""
        await self._connection.close()

    async def _read(self, sql: str) -> list[Any]:
        try:
            return list(await self._connection.execute_fetchall(sql))
        except sqlite3.Error as error:
            raise _unreadable(self._path, error) from error

    async def _transaction(self, statements: Iterable[tuple[str, Sequence[tuple[object, ...]]]]) -> None:
        async with self._lock:
            try:
                for sql, rows in statements:
                    await self._connection.executemany(sql, rows)
                await self._connection.commit()
            except sqlite3.IntegrityError as error:
                await self._roll_back()
                raise JournalConflict(str(error)) from error
            except (sqlite3.Error, ValueError) as error:
                await self._roll_back()
                raise JournalError(str(error)) from error
            except asyncio.CancelledError:  # or the next commit would be of half a transaction, too
                await self._roll_back()
                raise

    async def _roll_back(self) -> None:
        try:
            await self._connection.rollback()
        except (sqlite3.Error, ValueError):
            return  # nothing was begun, or the file is gone: either way nothing was stored


def _unreadable(path: Path, error: sqlite3.Error) -> ConfigError:
    """What to do about it. A disk that is full or broken says nothing of the journal, which may have the only copy of
    something."""
    if getattr(error, "sqlite_errorname", "").startswith(DAMAGED):
        return ConfigError(f"{path}: not a readable journal ({error}); restore it, or move it away")
    return ConfigError(
        f"{path}: the journal cannot be opened ({error}); make room on the disk, or mend it: the journal may be whole"
    )


async def _is_empty(connection: aiosqlite.Connection) -> bool:
    async with connection.execute("SELECT count(*) FROM sqlite_master") as rows:
        row = await rows.fetchone()
    return row is not None and row[0] == 0
