"""The operator's door: a Unix socket in the data directory, protected by its file mode (contract 2).

One JSON object a line in, one out: `{"verb": …}` → `{"ok": true, …}` or `{"ok": false, "message": …}`. A path on a
Unix socket may have 107 bytes; both ends go through the directory's descriptor, so that any directory works.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from inspect import isawaitable
from pathlib import Path
from typing import Any

import orjson

from stsd.config import ConfigError
from stsd.provision import NODE_FILE

SOCKET_FILE = "operator.sock"
MAX_LINE_BYTES = 65_536
TIMEOUT_S = 10.0

Told = Mapping[str, Any]
Verb = Callable[[Told], Told | Awaitable[Told]]


class OperatorError(Exception):
    """The operator's call did not work; the text says why and what to do."""


class NoNodeError(OperatorError):
    """Nobody answers in that directory."""


class OperatorSocket:
    """Serves verbs to whoever may open the socket file."""

    def __init__(self, directory: Path, verbs: Mapping[str, Verb]) -> None:
        self._directory = directory
        self._verbs = verbs
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; a socket left by an earlier process is replaced (the data directory's lock is held)."""
        (self._directory / SOCKET_FILE).unlink(missing_ok=True)
        with _short_path(self._directory) as path:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            previous = os.umask(0o177)
            try:
                listener.bind(path)
            finally:
                os.umask(previous)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=MAX_LINE_BYTES)

    async def stop(self) -> None:
        """Stop listening and remove the socket."""
        if self._server is not None:
            self._server.close()
            (self._directory / SOCKET_FILE).unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                line = await reader.readline()
            writer.write(orjson.dumps(await self._answer(line)) + b"\n")
            await writer.drain()
        except (OSError, TimeoutError, ValueError):
            pass  # the operator went away or sent no line; there is nobody to tell
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> Told:
        try:
            call = orjson.loads(line)
            verb = self._verbs.get(call["verb"])
        except (ValueError, TypeError, KeyError):
            return {"ok": False, "message": "a JSON object with a verb is expected"}
        if verb is None:
            return {"ok": False, "message": f"unknown verb; known: {', '.join(self._verbs)}"}
        try:
            told = verb(call)
            return {"ok": True, **(await told if isawaitable(told) else told)}
        except OperatorError as error:
            return {"ok": False, "message": str(error)}


def directories(data_dir: Path) -> list[Path]:
    """The directories of nodes: `data_dir` itself, or the regions of a cluster. Raises ConfigError for neither."""
    nodes = (
        [data_dir]
        if (data_dir / NODE_FILE).exists()
        else sorted(file.parent for file in data_dir.glob(f"*/{NODE_FILE}"))
    )
    if not nodes:
        raise ConfigError(f"--data-dir: {data_dir} is not a directory of a node or a cluster")
    return nodes


def call_any(nodes: Iterable[Path], verb: str, **members: Any) -> tuple[Path, dict[str, Any]]:
    """Ask the first of these nodes that answers; which one it was. Raises OperatorError when none does."""
    silent: NoNodeError | None = None
    for directory in nodes:
        try:
            return directory, call(directory, verb, **members)
        except NoNodeError as error:
            silent = silent or error
    raise silent or NoNodeError("no node is running")


def call_all(nodes: Iterable[Path], verb: str, **members: Any) -> list[dict[str, Any]]:
    """Ask all of these nodes; what those say that answer. Raises OperatorError when none does, or for a refusal, but
    not before all were asked."""
    answers: list[dict[str, Any]] = []
    faults: list[OperatorError] = []
    for directory in nodes:
        try:
            answers.append(call(directory, verb, **members))
        except OperatorError as error:
            faults.append(error)
    refusals = [fault for fault in faults if not isinstance(fault, NoNodeError)]
    if refusals or not answers:
        raise (refusals or faults or [NoNodeError("no node is running")])[0]
    return answers


def call(directory: Path, verb: str, **members: Any) -> dict[str, Any]:
    """Ask the node that owns `directory`. Raises NoNodeError when none answers, OperatorError for a refusal."""
    try:
        with _short_path(directory) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(path)
            connection.sendall(orjson.dumps({"verb": verb, **members}) + b"\n")
            with connection.makefile("rb") as answers:
                answer: dict[str, Any] = orjson.loads(answers.readline())
    except FileNotFoundError as error:
        raise NoNodeError(f"{directory}: no node is running here; start it first") from error
    except (OSError, ValueError) as error:
        raise NoNodeError(f"{directory}: the node does not answer on {SOCKET_FILE}: {error}") from error
    if not answer.get("ok"):
        raise OperatorError(str(answer.get("message")))
    return answer


@contextmanager
def _short_path(directory: Path) -> Iterator[str]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_FILE}"
    finally:
        os.close(descriptor)
