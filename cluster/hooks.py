"""The router's side of the test hooks: one order for all nodes (contract 8). (I/O)

Only with `--unsafe-test-hooks`.

`reset` gets one epoch number for all, so that no node mistakes an old message for a new one, and the router forgets
what it had learned of regions and spent on retries; `clock` gets the same body everywhere. A node that does not follow
is an error of the whole call: half a reset is none.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from cluster.upstream import Answer, Upstream, UpstreamError

RESET = "/_test/reset"
PATHS = {RESET: frozenset({"epoch"}), "/_test/clock": frozenset({"now", "advance"})}

Outcome = tuple[int, dict[str, Any]]


class HookError(ValueError):
    """A call that cannot be passed on; `status` is the answer's."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def is_loopback(address: str | None) -> bool:
    """Whether a client is on this machine."""
    try:
        return address is not None and ip_address(address).is_loopback
    except ValueError:
        return False


def order(path: str, body: bytes, epoch: int) -> bytes:
    """The body for every node. Raises HookError for what is not understood."""
    try:
        members = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise HookError(400, "MalformedInput", "the body must be a JSON object")
    if unknown := sorted(members.keys() - PATHS[path]):
        raise HookError(400, "ValidationError", f"{unknown[0]}: not known; allowed: {', '.join(sorted(PATHS[path]))}")
    if path == RESET:
        members.setdefault("epoch", epoch)
    return json.dumps(members).encode()


async def tell_all(upstreams: Mapping[str, Upstream], path: str, body: bytes) -> Outcome:
    """Gives the order to every node at once: status and JSON of the answer."""
    answers = await asyncio.gather(*(_tell(upstream, path, body) for upstream in upstreams.values()))
    results = dict(zip(upstreams, answers, strict=True))
    faults = {region: result for region, result in results.items() if isinstance(result, str)}
    if faults:
        said = "; ".join(f"{region}: {fault}" for region, fault in faults.items())
        return 502, {"error": {"code": "BadGateway", "message": f"not every node followed: {said}"}}
    content: dict[str, Any] = {"regions": results}
    if path == "/_test/clock":
        first = next(iter(results.values()))
        content["now"] = first.get("now") if isinstance(first, dict) else None
    return 200, content


async def _tell(upstream: Upstream, path: str, body: bytes) -> dict[str, Any] | str:
    """The node's JSON, or in words why there is none."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {upstream.host}:{upstream.port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    try:
        return _said(await upstream.send(head.encode(), body))
    except UpstreamError as error:
        return f"no answer ({error})"


def _said(answer: Answer) -> dict[str, Any] | str:
    try:
        content = json.loads(answer.body or b"{}")
    except ValueError:
        content = {}
    if answer.status == 200 and isinstance(content, dict):
        return content
    message = content.get("error", {}).get("message", "") if isinstance(content, dict) else ""
    return f"answered {answer.status} {message}".rstrip()
