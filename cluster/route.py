"""What the answer tells of its way: `x-stsd-route`, a list of RFC 9651. Pure.

    x-stsd-route: nearest-failover, us-east-1;down, eu-west-1;no-connection, ap-southeast-1;status=200;retry

First the policy (`regional` where the region was in the URL, `pinned` at a pinned port; with `;panic` when health was
not believed), then each region in the order in which it was thought of, and why it was left out or what came of it.
`cluster/README.md` lists the words.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

FIELD = "x-stsd-route"


@lru_cache(maxsize=4096)
def line(policy: str, steps: tuple[tuple[str, str], ...]) -> bytes:
    """The header line with its end. `steps` are regions and words, both tokens."""
    return f"{FIELD}: {', '.join([policy, *(f'{region};{words}' for region, words in steps)])}\r\n".encode()


def words(*parts: str) -> str:
    """Parameters of one region, the empty ones left out."""
    return ";".join(filter(None, parts))


def skipped(reasons: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Regions that were left out, each with its reason."""
    return [(region, reason) for region, reason in reasons if reason]
