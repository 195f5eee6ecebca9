"""A view of a small world and callers in it, for tests of operations without a node around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from multidict import CIMultiDict

from stsd import world as worlds
from stsd.principal import Caller, Session
from stsd.revocation.messages import Origin
from stsd.revocation.revocation_set import RevocationSet
from stsd.tokens.keyset import new_key_set
from stsd.view import View
from stsd.wire.messages import Request
from stsd.wire.query import Call, Parameters
from tests.revocation.signed import node as replica_of

NOW = 1_795_435_200.0


def view_of(world: Mapping[str, Any], entropy: Callable[[int], bytes]) -> View:
    """A node's view of a world."""
    return View(
        region="us-east-1", issuer="https://sts.test", directory=worlds.directory(worlds.materialise(world, entropy)),
        keys=new_key_set(entropy, NOW), replica=replica_of(Origin("us-east-1", "1", "0" * 16), (), NOW),
        revocations=RevocationSet(), entropy=entropy,
    )  # fmt: skip


def request(body: bytes = b"") -> Request:
    """Any request; who signed it is for the caller to say."""
    return Request("POST", "/", "", CIMultiDict[str](), body, "id")


def call(action: str, **parameters: str) -> Call:
    """A call with its parameters by wire name; `__` stands for the dot."""
    return Call(action, "2011-06-15", Parameters({name.replace("__", "."): text for name, text in parameters.items()}))


def user(view: View, arn: str) -> Caller:
    """A user with its long-term key."""
    key = next(key for key in view.directory.access_keys.values() if key.user.arn == arn)
    return Caller(key.user.principal, key.access_key_id)


def session(view: View, token: str) -> Caller:
    """Who holds a session token."""
    found: Session = view.tokens.open(token).session
    return Caller(found.principal, found.access_key_id, found)
