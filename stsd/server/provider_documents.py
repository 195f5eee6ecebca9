"""Fetching the keys of an identity provider: its metadata, then its JWK Set, from the internet and from nobody else.

Rules (spec 3.4.1, OpenID Connect Discovery 1.0 section 4):

1. All of it takes FETCH_TIMEOUT_S at most; a document has MAX_DOCUMENT_BYTES at most and is not compressed.
2. Only status 200 is an answer: no redirect is followed.
3. Connections go to the very addresses that were looked up and allowed: public ones, unless the operator allowed this
   provider private addresses. So a name that changes its address in between leads nowhere else.
4. A certificate is trusted by the public authorities, or because one of the chain that the server sends has a
   thumbprint of the provider: that one is then the only authority. The chain to it and the name are checked as ever.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from errno import EACCES
from functools import lru_cache
from hashlib import sha1
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.helpers import is_ip_address
from yarl import URL

from stsd.oidc import discovery
from stsd.oidc.discovery import DocumentError
from stsd.oidc.jwks import VerificationKeys
from stsd.oidc.known_keys import Failure, Source
from stsd.server.name_lookups import NameLookups

FETCH_TIMEOUT_S = 5.0
MAX_DOCUMENT_BYTES = 524_288
"""A hundred RSA keys with their certificates."""
HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "stsd"}


class Fetched(NamedTuple):
    """The keys, and for how many seconds they are fresh."""

    keys: VerificationKeys
    fresh_s: int


class FetchError(Exception):
    """No keys: the kind of failure, and what it was for the log."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure


class _NotAllowedError(OSError):
    """A name or an address that leads to no allowed address."""


class Fetch(Protocol):
    """How keys are fetched."""

    async def __call__(self, source: Source) -> Fetched:
        """Raises FetchError."""


class Documents:
    """Fetches. `is_public` says which addresses are of the internet, `resolver` looks names up (NameLookups if none is
    given) and `trust` makes the context of the public authorities; tests give their own."""

    def __init__(
        self,
        *,
        is_public: Callable[[str], bool] = discovery.is_public,
        resolver: AbstractResolver | None = None,
        trust: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self._is_public, self._resolver = is_public, resolver or NameLookups()
        self._trust = lru_cache(trust)

    async def fetch(self, source: Source) -> Fetched:
        """The keys of one provider. Raises FetchError."""
        allowed = (lambda _: True) if source.allow_private_address else self._is_public
        names = CheckedResolver(self._resolver, allowed)
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_S):
                metadata, _ = await self._get(discovery.configuration_url(source.url), source, names)
                document, cache_control = await self._get(discovery.jwks_uri(metadata, source), source, names)
                return Fetched(discovery.keys(document), discovery.fresh_s(cache_control))
        except TimeoutError:
            raise FetchError("unreachable", f"no whole answer within {FETCH_TIMEOUT_S:g} s") from None
        except DocumentError as error:
            raise FetchError("content", str(error)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise FetchError("unreachable", f"{type(error).__name__}: {error}") from None

    async def _get(self, url: str, source: Source, names: CheckedResolver) -> tuple[bytes, str]:
        """A document and its Cache-Control."""
        if not discovery.may_be_fetched(url, source):
            raise DocumentError(f"{url} is no https URL")
        if urlsplit(url).scheme == "http":
            return await _read(url, names, None)
        try:
            return await _read(url, names, self._trust())
        except aiohttp.ClientConnectorCertificateError:
            return await _read(url, names, await _pinned(url, source, names))


class CheckedResolver(AbstractResolver):
    """Looks names up, and tells only of addresses that are allowed."""

    def __init__(self, inner: AbstractResolver, allowed: Callable[[str], bool]) -> None:
        self._inner, self._allowed = inner, allowed

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        """The allowed addresses. Raises OSError when there is none."""
        found = [entry for entry in await self._inner.resolve(host, port, family) if self._allowed(entry["host"])]
        if not found:
            raise _NotAllowedError(EACCES, f"{host} has no public address")
        return found

    def check(self, host: str) -> None:
        """An address that stands in a URL itself is looked up by nobody. Raises OSError unless it is allowed."""
        if is_ip_address(host) and not self._allowed(host):
            raise _NotAllowedError(EACCES, f"{host} is no public address")

    async def close(self) -> None:
        """The inner resolver goes on to be used."""


async def _read(url: str, names: CheckedResolver, trust: ssl.SSLContext | None) -> tuple[bytes, str]:
    names.check(_host(url))
    connector = aiohttp.TCPConnector(resolver=names, ssl=trust or True, force_close=True)
    async with (
        aiohttp.ClientSession(
            connector=connector, headers=HEADERS, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        ) as session,
        session.get(url, allow_redirects=False) as answer,
    ):
        if answer.status != 200:
            raise FetchError("unreachable", f"{url} answered with status {answer.status}")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise DocumentError(f"{url} is compressed")
        document = bytearray()
        async for piece in answer.content.iter_any():
            document += piece
            if len(document) > MAX_DOCUMENT_BYTES:
                raise DocumentError(f"{url} has more than {MAX_DOCUMENT_BYTES} bytes")
        return bytes(document), answer.headers.get("Cache-Control", "")


def _host(url: str) -> str:
    """The host as the HTTP client reads it: it takes digits and full stops of other scripts for an address, which
    `urlsplit` does not. Raises DocumentError."""
    try:
        return URL(url).raw_host or ""
    except ValueError:
        raise DocumentError(f"{url} is no URL") from None


async def _pinned(url: str, source: Source, names: CheckedResolver) -> ssl.SSLContext:
    """Trust in what the provider's thumbprints name of the chain that the server sends. Raises FetchError."""
    anchors = [
        certificate
        for certificate in (await _chain(url, names) if source.thumbprints else [])
        if sha1(certificate, usedforsecurity=False).hexdigest() in source.thumbprints
    ]
    if not anchors:
        raise FetchError("thumbprint", f"the certificate of {url} is not trusted")
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    for anchor in anchors:
        trust.load_verify_locations(cadata=anchor)
    return trust


async def _chain(url: str, names: CheckedResolver) -> list[bytes]:
    """The certificates that a server sends, in DER; nothing is sent to it. None of them is trusted by that."""
    host, port = _host(url), urlsplit(url).port or 443
    names.check(host)
    address = host if is_ip_address(host) else (await names.resolve(host, port))[0]["host"]
    looking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    looking.check_hostname, looking.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection(address, port, ssl=looking, server_hostname=host)
    try:
        return _sent(writer.get_extra_info("ssl_object"))
    finally:
        writer.transport.abort()


def _sent(connection: Any) -> list[bytes]:
    """The chain as it was sent: public since Python 3.13, before that a method of the object within."""
    if hasattr(connection, "get_unverified_chain"):
        return list(connection.get_unverified_chain())
    return [certificate.public_bytes(DER) for certificate in connection._sslobj.get_unverified_chain()]


DER = 2
"""`_ssl.ENCODING_DER`."""
