"""What a node's data directory starts with, as file names and contents; the shell writes them (mode 0600).

| file | content |
|---|---|
| `node.json` | format, digest of the world file, and whether the node founds its cluster or joins it |
| `world.sealed` | the materialised world: ids, access keys and policies, sealed under the cluster key |
| `token-keys.sealed` | the key set, sealed under the cluster key |
| `identity.sealed` | the seed of the key that signs what this node tells its peers; made at its first start |

A founding node is ready at once; one that joins is ready when it has caught up once (contract 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from stsd.revocation.identity import SEED_BYTES, Signer
from stsd.tokens import keyset
from stsd.tokens.keyset import Entropy, KeySet

FORMAT = 1
NODE_FILE = "node.json"
WORLD_FILE = "world.sealed"
TOKEN_KEYS_FILE = "token-keys.sealed"  # noqa: S105 - a file's name
IDENTITY_FILE = "identity.sealed"


class ProvisionError(ValueError):
    """A data directory or a cluster key that cannot be used; the text says what to do."""


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """What a node reads from its data directory at start."""

    founding: bool
    world_digest: str
    keys: KeySet
    world: dict[str, Any]


def new_cluster_key(entropy: Entropy) -> str:
    """The text of a fresh cluster key file: 64 hexadecimal digits."""
    return entropy(keyset.CLUSTER_KEY_BYTES).hex() + "\n"


def read_cluster_key(text: str, source: str) -> bytes:
    """The 32 bytes of a cluster key file. Raises ProvisionError."""
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != keyset.CLUSTER_KEY_BYTES:
        raise ProvisionError(f"{source}: not a cluster key: 64 hexadecimal digits are expected")
    return key


def new_token_keys(entropy: Entropy, now: float) -> KeySet:
    """A cluster's first key set."""
    return keyset.new_key_set(entropy, now)


def new_identity(cluster_key: bytes, entropy: Entropy) -> bytes:
    """The content of a fresh `identity.sealed`."""
    return keyset.seal(cluster_key, entropy(SEED_BYTES).hex(), entropy)


def read_identity(cluster_key: bytes, content: bytes, directory: str) -> Signer:
    """The key of `new_identity`. Raises ProvisionError."""
    try:
        return Signer(bytes.fromhex(str(keyset.unseal(cluster_key, content))))
    except ValueError as error:
        raise ProvisionError(
            f"{directory}: {IDENTITY_FILE} does not open: restore it, or remove it: the node makes itself a new one"
        ) from error


def world_digest(text: str) -> str:
    """What identifies a world file: the SHA-256 of its text, in hexadecimal."""
    return sha256(text.encode()).hexdigest()


def node_files(
    cluster_key: bytes,
    keys: KeySet,
    world: Mapping[str, Any],
    *,
    founding: bool,
    world_digest: str,
    entropy: Entropy,
) -> dict[str, bytes]:
    """The files of a fresh data directory of one node; `world` is materialised."""
    return {
        WORLD_FILE: keyset.seal(cluster_key, world, entropy),
        TOKEN_KEYS_FILE: keyset.seal(cluster_key, keyset.dump(keys), entropy),
        NODE_FILE: node_file(founding=founding, world_digest=world_digest),
    }


def node_file(*, founding: bool, world_digest: str) -> bytes:
    """The content of `node.json`; written again once a founding node has made its journal."""
    return orjson.dumps({"format": FORMAT, "founding": founding, "world_digest": world_digest})


def read_node_files(cluster_key: bytes, files: Mapping[str, bytes], directory: str) -> NodeFiles:
    """The node's state from the files of `node_files`. Raises ProvisionError naming the file and the mend."""
    missing = [name for name in (NODE_FILE, WORLD_FILE, TOKEN_KEYS_FILE) if name not in files]
    if missing:
        raise ProvisionError(f"{directory}: {missing[0]} is missing: restore it, or start with an empty directory")
    head = _node_head(files[NODE_FILE], directory)
    try:
        world = keyset.unseal(cluster_key, files[WORLD_FILE])
        keys = keyset.load(keyset.unseal(cluster_key, files[TOKEN_KEYS_FILE]))
    except keyset.SealError as error:
        raise ProvisionError(
            f"{directory}: its state does not open: {error}; give the cluster key that it was made with (--cluster-key)"
        ) from error
    if not isinstance(world, dict):
        raise ProvisionError(f"{directory}: {WORLD_FILE} holds no world")
    return NodeFiles(head["founding"], head["world_digest"], keys, world)


def _node_head(content: bytes, directory: str) -> dict[str, Any]:
    try:
        head = orjson.loads(content)
        if head["format"] == FORMAT and isinstance(head["founding"], bool) and isinstance(head["world_digest"], str):
            return dict(head)
    except (ValueError, TypeError, KeyError):
        pass
    raise ProvisionError(
        f"{directory}: {NODE_FILE} is not of format {FORMAT}: this directory belongs to something else"
    )
