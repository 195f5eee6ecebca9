"""Fills the journals of a cluster before an experiment begins: revocations of keys that nobody holds. (I/O)"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Mapping

import aiohttp

from cluster.errors import Refused
from loadtest.places import Key
from loadtest.signer import Signer
from stsd import key_ids

PATH = "/v1/revocations"
AT_ONCE = 32
"""In each region: what comes together is stored together."""


async def preload(urls: Mapping[str, str], admin: Key, count: int, session: aiohttp.ClientSession) -> None:
    """`count` revocations by all regions together, each as a client would make it. Raises Refused."""
    account = key_ids.account_of(admin.access_key_id)
    if account is None:
        raise Refused("the administrator's key does not carry its account")
    shares = [count // len(urls) + (index < count % len(urls)) for index in range(len(urls))]
    workers = []
    for (region, url), share in zip(urls.items(), shares, strict=True):
        left = iter(range(share))
        workers += [_revoke(Signer(admin, region, url), account, left, session) for _ in range(AT_ONCE)]
    await asyncio.gather(*workers)


async def _revoke(signer: Signer, account: str, left: Iterator[int], session: aiohttp.ClientSession) -> None:
    for _ in left:
        body = json.dumps({"access_key_id": key_ids.new_access_key_id("ASIA", account, os.urandom)}).encode()
        async with session.post(signer.url + PATH, data=body, headers=signer.json_headers(PATH, body)) as answer:
            if answer.status != 200:
                raise Refused(f"{signer.region} does not store revocations: {answer.status} {await answer.text()}")
