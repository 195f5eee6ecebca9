"""What a node knows of the keys of identity providers: the shell fetches them, requests only look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from stsd.directory import OpenIDConnectProvider
from stsd.oidc.jwks import VerificationKeys

Failure = Literal["unreachable", "thumbprint", "content"]
"""Why there are no keys: the provider cannot be reached, its certificate is not trusted, it sends nothing usable."""


KEYS_WAIT_S = 6.0
"""How long a request waits for keys at most: a fetch takes five seconds (spec 3.4.1), and may have to wait its turn."""


class Source(NamedTuple):
    """Where keys come from and what is trusted on the way there. Providers share keys only if all of it is the same, so
    that what one account allows does not let keys into another."""

    url: str
    allow_private_address: bool
    thumbprints: tuple[str, ...]


def source_of(provider: OpenIDConnectProvider) -> Source | None:
    """None for a provider whose keys were given: nothing is fetched for it."""
    if provider.jwks is not None:
        return None
    return Source(provider.url, provider.allow_private_address, provider.thumbprints)


class KeysWanted(Exception):
    """A request cannot be judged by the keys that are here: those of `provider` are to be fetched first."""

    def __init__(self, provider: OpenIDConnectProvider) -> None:
        super().__init__(provider.arn)
        self.provider = provider


class KnownKeys:
    """Fetched keys, or why there are none, by their source; and the given ones, read once."""

    def __init__(self) -> None:
        self.fetched: dict[Source, VerificationKeys | Failure] = {}
        self._given: dict[str, tuple[Mapping[str, Any], VerificationKeys]] = {}

    def of(self, provider: OpenIDConnectProvider) -> VerificationKeys | Failure | None:
        """The keys of a provider; None when nobody has asked for them yet."""
        source = source_of(provider)
        return self._read(provider) if source is None else self.fetched.get(source)

    def _read(self, provider: OpenIDConnectProvider) -> VerificationKeys:
        assert provider.jwks is not None
        read = self._given.get(provider.arn)
        if read is None or read[0] is not provider.jwks:
            read = self._given[provider.arn] = provider.jwks, VerificationKeys(provider.jwks)
        return read[1]
