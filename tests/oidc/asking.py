"""A node without sockets that is asked for AssumeRoleWithWebIdentity, as anybody may."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from multidict import CIMultiDict

from stsd.node import Node
from stsd.wire.messages import Request, Response
from tests.oidc.issuing import NOW
from tests.operations import acting
from tests.world.worlds import ACME, Entropy

ROLE = f"arn:aws:iam::{ACME}:role/ci/builder"


def node_of(world: dict[str, Any]) -> Node:
    return Node(acting.view_of(world, Entropy()), b"k" * 32)


def request(token: str, *, waited: bool = False, **more: str) -> Request:
    """The request as SDKs send it: a form, no signature."""
    fields = {
        "Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": ROLE, "RoleSessionName": "run-7",
        "WebIdentityToken": token,
    } | more  # fmt: skip
    headers = CIMultiDict({"content-type": "application/x-www-form-urlencoded; charset=utf-8"})
    made = Request("POST", "/", "", headers, urlencode(fields).encode(), "id")
    made.waited_for_keys = waited
    return made


def ask(node: Node, token: str, *, waited: bool = False, now: float = NOW, **more: str) -> Response:
    return node.respond(request(token, waited=waited, **more), now, now)


def refusal(node: Node, token: str, *, waited: bool = False, **more: str) -> tuple[int, str, str]:
    """Status, code and message."""
    response = ask(node, token, waited=waited, **more)
    return response.status, response.code, member(response, "Message")


def member(response: Response, name: str) -> str:
    """The text of the first element with this name, empty when there is none."""
    found = re.search(f"<{name}>(.*?)</{name}>", response.body.decode(), re.DOTALL)
    text = found[1] if found else ""
    return text.replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
