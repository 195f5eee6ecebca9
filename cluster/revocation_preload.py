"""Fills the journals of a cluster before an experiment begins: revocations of keys that nobody holds. (I/O)

Each is a call of its own, signed for itself. Its answer waits for another region's disk, up to 300 ms, in which a node
has time for hundreds more: so many are under way at once, on the connections of the load test's client.
What comes together is stored together: such journals have fewer and longer batches than those of a node that is asked
now and then. Not every answer tells of a second disk; who fills waits until all regions hold the same.
"""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from cluster.errors import Refused
from loadtest.client import MAX_CONNECTIONS, LoadError, NextRequest, Tally, run
from loadtest.places import Key
from loadtest.signer import Signer, post
from stsd import key_ids

PATH = "/v1/revocations"
AT_ONCE = 1_500
"""Calls under way in all regions together, each on a connection of its own."""
OTHER_FILES = 200
"""What this process may have open beside those connections."""
ROUND_S = 30.0
"""How long regions are called before it is looked whether all answers were good ones."""


async def preload(urls: Mapping[str, str], admin: Key, count: int) -> None:
    """`count` revocations by all regions together, each as a client would make it. Raises Refused."""
    account = key_ids.account_of(admin.access_key_id)
    if account is None:
        raise Refused("the administrator's key does not carry its account")
    signers = {region: Signer(admin, region, url) for region, url in urls.items()}
    left = {region: count // len(urls) + (index < count % len(urls)) for index, region in enumerate(urls)}
    with _open_files(AT_ONCE) as connections:
        at_once = min(MAX_CONNECTIONS, connections // len(urls))
        while left := {region: share for region, share in left.items() if share}:
            rounds = (_round(signers[region], account, left[region], at_once) for region in left)
            for region, tally in zip(left, await asyncio.gather(*rounds), strict=True):
                if tally.failed:
                    raise Refused(f"{region} does not store revocations: {tally.first_failure}")
                left[region] -= tally.done


async def _round(signer: Signer, account: str, share: int, at_once: int) -> Tally:
    """As many of a region's share as it takes in ROUND_S. Raises Refused."""
    requests = _requests(signer, account)
    try:
        return await run(signer.url, requests, connections=min(share, at_once), duration_s=ROUND_S, limit=share)
    except LoadError as error:
        raise Refused(f"{signer.region} does not store revocations: {error}") from error


def _requests(signer: Signer, account: str) -> NextRequest:
    """Makes them, each for another key."""

    def request() -> bytes:
        body = b'{"access_key_id":"%s"}' % key_ids.new_access_key_id("ASIA", account, os.urandom).encode()
        return post(PATH, signer.json_headers(PATH, body), body)

    return request


@contextmanager
def _open_files(connections: int) -> Iterator[int]:
    """As many of these as this process may have open, which may be more than it usually may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    known = [limit for limit in (hard, connections + OTHER_FILES) if limit != resource.RLIM_INFINITY]
    allowed = soft if soft == resource.RLIM_INFINITY else max(soft, min(known))
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    try:
        yield connections if allowed == resource.RLIM_INFINITY else min(connections, allowed - OTHER_FILES)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
