"""Requests as bytes on a socket, and what comes back."""

from __future__ import annotations

import re
import socket

from tests.running import RunningNode


def send(node: RunningNode, *parts: bytes, timeout_s: float = 5.0) -> bytes:
    """Everything that the node answers to raw bytes on one connection, until it closes it."""
    host, port = node.url.removeprefix("http://").split(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=timeout_s) as connection:
        for part in parts:
            connection.sendall(part)
        while chunk := connection.recv(65_536):
            received += chunk
    return received


def request(target: str, head: str = "", body: bytes = b"", method: str = "POST") -> bytes:
    start = f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{head}Connection: close\r\n\r\n"
    return start.encode() + body


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def body(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def request_id(answer: bytes) -> str:
    """Of the answer that begins here; no other is accepted than a UUID."""
    found = re.search(rb"\r\nx-amzn-RequestId: ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\r\n", answer)
    assert found is not None, answer[:500]
    return found[1].decode()
