"""Who a node is to NATS servers: an Ed25519 user key (nkey) of its own, made from its identity key.

Not the identity key itself: a server chooses what its clients sign, and could have a batch signed. Needs the extra
`nats`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import nkeys

from stsd.revocation.identity import Signer

PURPOSE = b"stsd-nats-user"


@dataclass(frozen=True, slots=True)
class User:
    """The public key, which servers' files name, and the seed, which only the node uses."""

    public: str
    seed: str = field(repr=False)

    @classmethod
    def of(cls, signer: Signer) -> User:
        """The user of the node that signs so."""
        seed = nkeys.encode_seed(signer.derived_seed(PURPOSE), nkeys.PREFIX_BYTE_USER)
        return cls(nkeys.from_seed(seed).public_key.decode(), seed.decode())
