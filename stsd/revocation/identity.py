"""Who signs for which origin: Ed25519 keys (RFC 8032), bound to one cluster and one epoch.

1. Every node has an identity key, made at its first start. It signs what its origin says: batches and heartbeats.
   Whoever carries them can delay them, and no more (design 2.4).
2. An announcement says which public key an origin signs with. It is authenticated with a key derived from the cluster
   key, whoever carries it. The first one counts: an origin never changes its key, a new key is a new incarnation.
   It counts only when the key is that of a node of this region in the peer set (see peer_set), and up to its limit.
3. All that is signed names its cluster, its epoch and its log, so nothing holds in another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from hmac import compare_digest

from nacl.bindings import crypto_sign as _sign
from nacl.bindings import crypto_sign_BYTES, crypto_sign_open, crypto_sign_PUBLICKEYBYTES, crypto_sign_seed_keypair
from nacl.exceptions import CryptoError

from stsd.revocation.messages import Announcement, Batch, Checkpoint, Heartbeat, Origin

SEED_BYTES = 32
KEY_BYTES = int(crypto_sign_PUBLICKEYBYTES)
SIGNATURE_BYTES = int(crypto_sign_BYTES)
CHAIN_BYTES = 32
PROOF_BYTES = 16
MAX_INCARNATIONS = 256
"""Of one key: a node that lost its journal as often joins anew, and a stolen key fills no memory with origins."""

MAX_NOT_BELIEVED = 1_000


class Signer:
    """A node's identity key; its seed never leaves it."""

    def __init__(self, seed: bytes) -> None:
        self.public_key, self._secret = crypto_sign_seed_keypair(seed)

    def sign(self, content: bytes) -> bytes:
        """The signature, 64 bytes."""
        return bytes(_sign(content, self._secret)[:SIGNATURE_BYTES])

    def derived_seed(self, purpose: bytes) -> bytes:
        """32 secret bytes for a protocol whose other side chooses what is signed: the identity key signs nothing of
        that sort, or a broker could have it sign a batch. `purpose` has at most 16 bytes."""
        return blake2b(self._secret[:SEED_BYTES], digest_size=SEED_BYTES, person=purpose).digest()


Limit = Callable[[Origin, bytes], int | None]
"""How far an origin that signs with a key is believed: None for no limit, 0 for not at all."""


def everybody(origin: Origin, public_key: bytes) -> None:
    """The limit where whoever has the cluster key is believed."""


class Identities(Mapping[Origin, bytes]):
    """The public key of every origin known, in one cluster and epoch, and for one kind of log: `log` is its name, at
    most 16 bytes; that of the revocations is empty. `limit` is the peer set's word on them, and `left` on whether the
    node with a key was removed: one that is not known yet may still become known, and is waited for."""

    def __init__(
        self,
        cluster_key: bytes,
        epoch: int = 0,
        limit: Limit = everybody,
        log: str = "",
        left: Callable[[bytes], bool] = lambda public_key: False,
    ) -> None:
        self._limit, self._left = limit, left
        self._proof_key = blake2b(cluster_key, digest_size=32, person=b"stsd-identities").digest()
        cluster = blake2b(cluster_key, digest_size=16, salt=log.encode(), person=b"stsd-cluster").digest()
        self._scope = cluster + epoch.to_bytes(8, "big")
        self._announced: dict[Origin, Announcement] = {}
        self._not_believed: dict[Origin, bytes] = {}
        """Keys of origins that were announced when their nodes had left already, so that nobody waits for them."""

    def __getitem__(self, origin: Origin) -> bytes:
        return self._announced[origin].public_key

    def __iter__(self) -> Iterator[Origin]:
        return iter(self._announced)

    def __len__(self) -> int:
        return len(self._announced)

    def announcements(self) -> tuple[Announcement, ...]:
        """All that is known, to be kept."""
        return tuple(self._announced.values())

    def told(self) -> tuple[Announcement, ...]:
        """What others may believe, to be passed on."""
        return tuple(each for each in self._announced.values() if self._limit(each.origin, each.public_key) != 0)

    def announce(self, origin: Origin, signer: Signer) -> Announcement:
        """Make known which key an origin of our own signs with."""
        return Announcement(origin, signer.public_key, self._proof(origin, signer.public_key))

    def admit(self, announced: Announcement) -> str:
        """Take in an announcement: `new`, `known`, or why it changes nothing: `bad_announcement`, `not_a_peer`,
        `other_identity`, `too_many_incarnations`."""
        known = self._announced.get(announced.origin)
        if known == announced:
            return "known"
        if not self._is_proven(announced):
            return "bad_announcement"
        if self._limit(announced.origin, announced.public_key) == 0:
            if self._left(announced.public_key) and len(self._not_believed) < MAX_NOT_BELIEVED:
                self._not_believed.setdefault(announced.origin, announced.public_key)
            return "not_a_peer"
        if known is not None:
            return "other_identity"
        if sum(each.public_key == announced.public_key for each in self._announced.values()) >= MAX_INCARNATIONS:
            return "too_many_incarnations"
        self._announced[announced.origin] = announced
        return "new"

    def restore(self, announced: Iterable[Announcement]) -> None:
        """Take in what was kept: all was admitted once, and who is not believed any more is still known."""
        for each in announced:
            if self._is_proven(each):
                self._announced.setdefault(each.origin, each)

    def limit(self, origin: Origin) -> int | None:
        """How far an origin is believed, None for no limit: its node belongs to the cluster, or is not known."""
        public_key = self.get(origin) or self._not_believed.get(origin)
        return None if public_key is None else self._limit(origin, public_key)

    def has_left(self, origin: Origin) -> bool:
        """Whether the node of an origin belongs to the cluster no more."""
        return self.limit(origin) is not None

    # What is signed, and whether it was.

    def genesis(self, origin: Origin) -> bytes:
        """The chain hash before an origin's first batch."""
        return blake2b(self._scope + str(origin).encode(), digest_size=CHAIN_BYTES, person=b"stsd-genesis").digest()

    def heartbeat_content(self, origin: Origin, heartbeat: Heartbeat) -> bytes:
        """What an origin signs of a heartbeat."""
        place = f"\n{origin}\n{heartbeat.at!r}\n{heartbeat.head}\n".encode()
        return b"stsd heartbeat" + self._scope + place + heartbeat.chain

    def batch_content(self, batch: Batch) -> bytes:
        """What an origin signs of a batch: its chain hash, which is made of everything in it and before it."""
        return b"stsd batch" + self._scope + batch.chain

    def checkpoint_content(self, checkpoint: Checkpoint) -> bytes:
        """What its maker signs of a checkpoint: all of it."""
        digest = blake2b(digest_size=CHAIN_BYTES, person=b"stsd-checkpoint")
        digest.update(f"{checkpoint.maker}\n{checkpoint.made_at!r}\n{len(checkpoint.floors)}\n".encode())
        for origin in sorted(checkpoint.floors):
            (sequence, chain), kept = checkpoint.floors[origin].head, checkpoint.floors[origin].kept
            digest.update(f"{origin}\n{sequence}\n{kept}\n".encode() + chain)
        return b"stsd checkpoint" + self._scope + digest.digest()

    def fault(self, origin: Origin, content: bytes, signature: bytes) -> str:
        """Why `origin` did not sign this: `unknown_identity` or `bad_signature`; empty if it did."""
        public_key = self.get(origin)
        if public_key is None:
            return "unknown_identity"
        try:
            crypto_sign_open(signature + content, public_key)
        except (CryptoError, ValueError, TypeError):
            return "bad_signature"
        return ""

    def _is_proven(self, announced: Announcement) -> bool:
        return compare_digest(announced.proof, self._proof(announced.origin, announced.public_key))

    def _proof(self, origin: Origin, public_key: bytes) -> bytes:
        content = self._scope + public_key + str(origin).encode()
        return blake2b(content, key=self._proof_key, digest_size=PROOF_BYTES).digest()


def chain_of(batch: Batch) -> bytes:
    """BLAKE2b over the hash before the batch and everything in it; each part is told apart by its length."""
    digest = blake2b(batch.previous, digest_size=CHAIN_BYTES, person=b"stsd-chain")
    digest.update(f"{batch.origin}\n{batch.first}\n{batch.made_at!r}\n{len(batch.entries)}\n".encode())
    for entry in batch.entries:
        digest.update(len(entry).to_bytes(4, "big"))
        digest.update(entry)
    return digest.digest()
