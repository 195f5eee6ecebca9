"""The verifier that people write first, to compare `stsd.verifier` with. (I/O)

It keeps keys for a fixed time. A call that finds none, too old ones, or not the one that its token names, fetches the
discovery document and then the key set, and waits for both: so do all calls that come meanwhile, each for itself. It
knows of no revocations. What it lacks has names: jitter, stale-while-revalidate, single flight.
"""

from __future__ import annotations

import time
from collections import Counter
from urllib.parse import urlsplit

import aiohttp
import orjson

from stsd.tokens import published_keys, session_token
from stsd.tokens.published_keys import PublishedKeys
from stsd.tokens.session_token import TokenError

DISCOVERY = "/.well-known/openid-configuration"
TIMEOUT_S = 10.0


class NaiveVerifier:
    """Verifies tokens of one cluster. `url` is a regional node's; `requests` counts what it asked for, by path."""

    def __init__(self, url: str, keys_age_s: float) -> None:
        self._url, self._keys_age_s = url, keys_age_s
        self._keys, self._keys_at = PublishedKeys(), -keys_age_s
        self.requests: Counter[str] = Counter()
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=1))

    async def close(self) -> None:
        """Closes its connection."""
        await self._session.close()

    async def check(self, token: str) -> bool:
        """Whether a token's signature and times hold; false also when there are no keys to be had."""
        try:
            if time.monotonic() - self._keys_at > self._keys_age_s or not self._knows(token):
                await self._fetch()
            session, _ = session_token.verify(token, self._keys)
            session_token.check_time(session, time.time())
        except (TokenError, aiohttp.ClientError, TimeoutError, ValueError, KeyError):
            return False
        return True

    def _knows(self, token: str) -> bool:
        return token[: token.find(".") + 1] in self._keys.by_header

    async def _fetch(self) -> None:
        discovered = orjson.loads(await self._get(self._url + DISCOVERY))
        self._keys = published_keys.read(orjson.loads(await self._get(str(discovered["jwks_uri"]))))
        self._keys_at = time.monotonic()

    async def _get(self, url: str) -> bytes:
        self.requests[urlsplit(url).path] += 1
        async with self._session.get(url) as answer:
            answer.raise_for_status()
            return await answer.read()
