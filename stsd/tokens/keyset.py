"""Token keys: the Ed25519 keys (RFC 8032) that sign session tokens, the same set in every region.

A token key is `prepared` (published, not yet signing), `active` (signing) or `retired` (verifying until its last
token has expired). Publishing before use lets verifiers hold a key before they meet it. At rest a key set is sealed
with XSalsa20-Poly1305 under a key derived from the cluster key; seeds never appear in a repr.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from typing import Literal

import orjson
from nacl.bindings import crypto_sign, crypto_sign_seed_keypair
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

Entropy = Callable[[int], bytes]
State = Literal["prepared", "active", "retired"]

TOKEN_TYPE = "stsd-session+jwt"  # noqa: S105 - a media type
CLUSTER_KEY_BYTES = 32
SIGNATURE_BYTES = 64


class SealError(ValueError):
    """A sealed file does not open: it was sealed under another cluster key, or it was changed."""


@dataclass(frozen=True, slots=True)
class TokenKey:
    """One Ed25519 key. `created_at` is in Unix seconds; `header` is its JWS header, encoded, with the dot."""

    kid: str
    state: State
    created_at: int
    seed: bytes = field(repr=False)
    public: bytes = field(repr=False)
    expanded: bytes = field(repr=False)
    secrets_key: bytes = field(repr=False)
    header: str = field(repr=False)

    def jwk(self) -> dict[str, str]:
        """The public key as a JWK (RFC 8037 section 2)."""
        x = urlsafe_b64encode(self.public).rstrip(b"=").decode()
        return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.kid, "x": x}

    def sign(self, message: bytes) -> bytes:
        """A detached signature (64 bytes) over what is not a token; the message must not be a JWS signing input."""
        return crypto_sign(message, self.expanded)[:SIGNATURE_BYTES]


class KeySet:
    """All token keys of a cluster, with exactly one active; immutable."""

    def __init__(self, keys: tuple[TokenKey, ...]) -> None:
        active = [key for key in keys if key.state == "active"]
        if len(active) != 1:
            raise ValueError(f"a key set has one active token key, not {len(active)}")
        self.keys = keys
        self.active = active[0]
        self.by_kid: Mapping[str, TokenKey] = {key.kid: key for key in keys}
        # The whole encoded header is looked up: no other algorithm or type can even be parsed into a verification.
        self.by_header: Mapping[str, TokenKey] = {key.header: key for key in keys}

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The published key set (RFC 7517 section 5): prepared keys too, so that verifiers hold them before use."""
        return {"keys": [key.jwk() for key in self.keys]}


def token_key(seed: bytes, state: State, created_at: int) -> TokenKey:
    """A token key from its 32-byte seed. The kid is the start of its RFC 7638 thumbprint."""
    public, expanded = crypto_sign_seed_keypair(seed)
    x = urlsafe_b64encode(public).rstrip(b"=").decode()
    thumbprint = sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest()
    kid = urlsafe_b64encode(thumbprint)[:16].decode()
    return TokenKey(
        kid=kid,
        state=state,
        created_at=created_at,
        seed=seed,
        public=public,
        expanded=expanded,
        secrets_key=blake2b(seed, digest_size=32, person=b"stsd-session-key").digest(),
        header=jws_header(kid),
    )


def jws_header(kid: str) -> str:
    """The header of every session token under this key (RFC 7515 section 4), encoded, with the dot."""
    header = orjson.dumps({"alg": "EdDSA", "kid": kid, "typ": TOKEN_TYPE})
    return urlsafe_b64encode(header).rstrip(b"=").decode() + "."


def new_key_set(entropy: Entropy, now: float) -> KeySet:
    """A first key set: one active and one prepared token key."""
    return KeySet((token_key(entropy(32), "active", int(now)), token_key(entropy(32), "prepared", int(now))))


def seal(cluster_key: bytes, content: object, entropy: Entropy) -> bytes:
    """JSON `content` encrypted and authenticated under the cluster key."""
    return bytes(_box(cluster_key).encrypt(orjson.dumps(content), entropy(SecretBox.NONCE_SIZE)))


def unseal(cluster_key: bytes, sealed: bytes) -> object:
    """The content of `seal`. Raises SealError when the cluster key is another one or the bytes were changed."""
    try:
        return orjson.loads(_box(cluster_key).decrypt(sealed))
    except (CryptoError, ValueError) as error:
        raise SealError("it was sealed under another cluster key, or it was changed") from error


def dump(keys: KeySet) -> list[dict[str, object]]:
    """What of a key set is stored; to be sealed."""
    return [{"state": k.state, "created_at": k.created_at, "seed": k.seed.hex()} for k in keys.keys]


def load(stored: object) -> KeySet:
    """The key set of `dump`. Raises SealError on anything else."""
    try:
        rows = [(bytes.fromhex(r["seed"]), r["state"], r["created_at"]) for r in stored]  # type: ignore[attr-defined]
        return KeySet(tuple(token_key(seed, state, created_at) for seed, state, created_at in rows))
    except (TypeError, KeyError, ValueError) as error:
        raise SealError("it holds no key set") from error


def _box(cluster_key: bytes) -> SecretBox:
    return SecretBox(blake2b(cluster_key, digest_size=32, person=b"stsd-seal").digest())
