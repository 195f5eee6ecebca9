"""What a node's data directory starts with, as file names and contents; the shell writes them (mode 0600).

| file | content |
|---|---|
| `node.json` | format, region, digest of the world file, and whether the node founds its cluster or joins it |
| `world.sealed` | the materialised world: ids, access keys and policies, sealed under the cluster key |
| `token-keys.sealed` | the key set, sealed under the cluster key |
| `identity.sealed` | the seed of the key that signs what this node tells its peers |
| `peers.json` | the public root key and the records of the peer set; grows while the node runs |
| `peer-ca.pem` | optional, the operator's: the authority that the certificates of other nodes are checked with |

A founding node is ready at once; one that joins is ready when it has caught up once (contract 4). `root.key` is no file
of a node: whoever has it decides who is one (see stsd.revocation.peer_set). It lies beside a cluster's regions, or in
the directory of a node that founded a cluster alone, until the operator takes it away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

import orjson

from stsd.revocation.identity import SEED_BYTES, Signer
from stsd.revocation.peer_records import Peer, sign_peer
from stsd.revocation.peer_set import PeerSet
from stsd.tokens import keyset
from stsd.tokens.keyset import Entropy, KeySet

FORMAT = 2
PEERS_FORMAT = 1
NODE_FILE = "node.json"
WORLD_FILE = "world.sealed"
TOKEN_KEYS_FILE = "token-keys.sealed"  # noqa: S105 - a file's name
IDENTITY_FILE = "identity.sealed"
PEERS_FILE = "peers.json"
CLUSTER_KEY_FILE = "cluster.key"
ROOT_KEY_FILE = "root.key"
CA_FILE = "peer-ca.pem"
FILES = (WORLD_FILE, TOKEN_KEYS_FILE, IDENTITY_FILE, PEERS_FILE, NODE_FILE)
"""Of one node."""


class ProvisionError(ValueError):
    """A data directory or a cluster key that cannot be used; the text says what to do."""


@dataclass(frozen=True, slots=True)
class NodeFile:
    """What `node.json` says. A node that joined knows from its sponsor the `issuer` and the `epoch` of the cluster, and
    from its operator the `port` at which others reach it, and from both at which `urls` it reaches other regions."""

    region: str
    founding: bool
    world_digest: str
    issuer: str | None = None
    epoch: int = 0
    port: int | None = None
    urls: Mapping[str, str] = field(default_factory=dict)

    @property
    def joined(self) -> bool:
        """Whether this node came to a cluster that was there before."""
        return self.issuer is not None


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """What a node reads from its data directory at start."""

    node: NodeFile
    keys: KeySet
    world: dict[str, Any] = field(repr=False)
    signer: Signer = field(repr=False)
    peers: PeerSet = field(repr=False)


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


def new_root_key(entropy: Entropy) -> str:
    """The text of a fresh root key file: 64 hexadecimal digits."""
    return entropy(SEED_BYTES).hex() + "\n"


def read_root_key(text: str, source: str) -> Signer:
    """The key of a root key file. Raises ProvisionError."""
    try:
        return Signer(bytes.fromhex(text.strip()))
    except ValueError:
        raise ProvisionError(f"{source}: not a root key: 64 hexadecimal digits are expected") from None


def founders(root: Signer, nodes: Mapping[str, tuple[bytes, str]], now: float) -> PeerSet:
    """The peer set that a cluster starts with; `nodes` are seed and URL by region."""
    peers = (Peer(region, Signer(seed).public_key, url, int(now)) for region, (seed, url) in nodes.items())
    return PeerSet(root.public_key, (sign_peer(root, root.public_key, peer) for peer in peers))


def peers_file(peers: PeerSet) -> bytes:
    """The content of `peers.json`."""
    records = [record.hex() for record in peers.records()]
    return orjson.dumps({"format": PEERS_FORMAT, "root_key": peers.root_key.hex(), "records": records})


def read_peers(content: bytes, directory: str) -> PeerSet:
    """The peer set of `peers_file`. Raises ProvisionError; a record that does not prove itself is one."""
    try:
        stored = orjson.loads(content)
        records: Sequence[bytes] = [bytes.fromhex(record) for record in stored["records"]]
        peers = PeerSet(bytes.fromhex(stored["root_key"]))
        if stored["format"] == PEERS_FORMAT and all(peers.take(record) in ("new", "known") for record in records):
            return peers
    except (ValueError, TypeError, KeyError):
        pass
    raise ProvisionError(f"{directory}: {PEERS_FILE} is damaged: restore it, or join anew with an empty directory")


def read_identity(cluster_key: bytes, content: bytes, directory: str) -> Signer:
    """The identity key of a node, from its file. Raises ProvisionError."""
    try:
        return Signer(bytes.fromhex(str(keyset.unseal(cluster_key, content))))
    except ValueError as error:
        raise ProvisionError(
            f"{directory}: {IDENTITY_FILE} does not open: restore it, or join anew with an empty directory"
        ) from error


def world_digest(text: str) -> str:
    """What identifies a world file: the SHA-256 of its text, in hexadecimal."""
    return sha256(text.encode()).hexdigest()


def node_files(
    cluster_key: bytes,
    keys: KeySet,
    world: Mapping[str, Any],
    node: NodeFile,
    *,
    identity_seed: bytes,
    peers: PeerSet,
    entropy: Entropy,
) -> dict[str, bytes]:
    """The files of a fresh data directory of one node, `node.json` last; `world` is materialised."""
    return {
        WORLD_FILE: keyset.seal(cluster_key, world, entropy),
        TOKEN_KEYS_FILE: keyset.seal(cluster_key, keyset.dump(keys), entropy),
        IDENTITY_FILE: keyset.seal(cluster_key, identity_seed.hex(), entropy),
        PEERS_FILE: peers_file(peers),
        NODE_FILE: node_file(node),
    }


def node_file(node: NodeFile) -> bytes:
    """The content of `node.json`; written again once a founding node has made its journal."""
    return orjson.dumps({"format": FORMAT, **asdict(node)})


def read_node_files(cluster_key: bytes, files: Mapping[str, bytes], directory: str) -> NodeFiles:
    """The node's state from the files of `node_files`. Raises ProvisionError naming the file and the mend."""
    if NODE_FILE not in files:
        raise ProvisionError(_missing(directory, NODE_FILE))
    node = read_node_file(files[NODE_FILE], directory)
    if missing := [name for name in FILES if name not in files]:
        raise ProvisionError(_missing(directory, missing[0]))
    try:
        world = keyset.unseal(cluster_key, files[WORLD_FILE])
        keys = keyset.load(keyset.unseal(cluster_key, files[TOKEN_KEYS_FILE]))
    except keyset.SealError as error:
        raise ProvisionError(
            f"{directory}: its state does not open: {error}; give the cluster key that it was made with (--cluster-key)"
        ) from error
    if not isinstance(world, dict):
        raise ProvisionError(f"{directory}: {WORLD_FILE} holds no world")
    signer = read_identity(cluster_key, files[IDENTITY_FILE], directory)
    return NodeFiles(node, keys, world, signer, read_peers(files[PEERS_FILE], directory))


def read_node_file(content: bytes, directory: str) -> NodeFile:
    """What `node.json` says. Raises ProvisionError."""
    try:
        members = orjson.loads(content)
        if members.pop("format") == FORMAT:
            node = NodeFile(**members)
            if isinstance(node.region, str) and isinstance(node.founding, bool) and isinstance(node.world_digest, str):
                return node
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    raise ProvisionError(
        f"{directory}: {NODE_FILE} is not of format {FORMAT}: this directory belongs to something else, or was made by"
        " an earlier version"
    )


def _missing(directory: str, name: str) -> str:
    return f"{directory}: {name} is missing: restore it, or start with an empty directory"
