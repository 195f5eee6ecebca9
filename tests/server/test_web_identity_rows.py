"""The rows of spec 3.4.1 over HTTP: code, status and text, from a node in a process of its own."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.oidc import asking
from tests.oidc.issuing import ISSUER, claims, jwk, jwks, provider, rsa, signed, trust
from tests.oidc.test_refusals import DENIED, NO_JWT, NO_KEY, NOT_VALID
from tests.running import RunningNode, free_base_port, running_node
from tests.world.worlds import account, world

pytestmark = pytest.mark.processes
INVALID, EXPIRED = (400, "InvalidIdentityToken"), (400, "ExpiredTokenException")
TAG = "https://aws.amazon.com/tags/principal_tags/Team"
SKEWED = r"current date/time \d{10} must be"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node that was given the keys of one issuer; nobody is behind the other one."""
    folder, port = tmp_path_factory.mktemp("rows"), free_base_port(2)
    down = provider(f"http://localhost:{port + 1}", AllowPrivateAddress=True)
    roles = [{"RoleName": "builder", "Path": "/ci/", "AssumeRolePolicyDocument": trust(), "Policies": {}}]
    providers = [provider(Jwks=jwks(jwk(rsa()))), down]
    (folder / "world.json").write_text(json.dumps(world(account(OpenIDConnectProviders=providers, Roles=roles))))
    with running_node(folder / "data", "--world", str(folder / "world.json"), port=port) as node:
        yield node


def answer(node: RunningNode, token: str, **more: str) -> tuple[int, str, str]:
    sent = asking.request(token, **more)
    told = requests.post(node.url, sent.body, headers=dict(sent.headers), timeout=20)
    code, text = (re.search(f"<{name}>(.*?)</{name}>", told.text, re.DOTALL) for name in ("Code", "Message"))
    return told.status_code, code[1] if code else "", text[1].replace("&quot;", '"') if text else ""


def now_claims(changed: dict[str, Any], **offsets_s: int) -> dict[str, Any]:
    now = int(time.time())
    return claims(**{"iat": now, "exp": now + 300} | {name: now + by for name, by in offsets_s.items()} | changed)


@pytest.mark.parametrize(
    ("changed", "offsets_s", "kind", "said"),
    [
        *(({name: ...}, {}, INVALID, f"Missing a required claim: {name}") for name in ("iss", "sub", "aud")),
        ({"aud": ""}, {}, INVALID, "Claim is not allowed to be empty: aud"),
        ({"iat": None}, {}, INVALID, re.escape("Invalid timestamp in token claims.")),
        ({}, {"iat": 400}, INVALID, r"Token issued in the future: \d{10}"),
        ({}, {"nbf": 400}, INVALID,
         rf"Token not yet valid: {SKEWED} after or equal to the not-before date/time \d{{10}}"),
        ({}, {"exp": -400}, EXPIRED, rf"Token expired: {SKEWED} before the expiration date/time \d{{10}}"),
        ({}, {"iat": -90_000}, EXPIRED, r"Token too old: \d{10}"),
        ({"aud": ["a", "b"]}, {}, INVALID,
         "Token audience contains more than one audience while authorized party is not present"),
        ({"iss": "https://issuer"}, {}, INVALID,
         "No OpenIDConnect provider found in your account for https://issuer"),
        ({"aud": "stranger"}, {}, INVALID, re.escape(NOT_VALID)),
        ({TAG: ["x"]}, {}, INVALID, re.escape("principal_tags passed in claim is not in correct format.")),
        ({"sub": None}, {}, (500, "InternalFailure"), "Unknown error validating third-party token"),
        ({TAG: "x"}, {}, (403, "AccessDenied"), "Not authorized to perform sts:TagSession"),
    ],
    ids=str,
)  # fmt: skip
def test_a_row_about_claims(started, changed, offsets_s, kind, said):
    status, code, text = answer(started, signed(now_claims(changed, **offsets_s)))
    assert (status, code) == kind
    assert re.fullmatch(said, text), text


def test_rows_about_form_key_signature_and_trust(started):
    good = now_claims({})
    assert answer(started, "no token") == (*INVALID, NO_JWT)
    assert answer(started, signed(good, kid="k2")) == (*INVALID, NO_KEY)
    assert answer(started, signed(good, rsa("stranger"))) == (*INVALID, NOT_VALID)
    elsewhere = asking.ROLE + "-none"
    assert answer(started, signed(good), RoleArn=elsewhere) == (403, "AccessDenied", DENIED)
    said = "Provided Token is not a Login With Amazon token"
    assert answer(started, signed(good), ProviderId="www.amazon.com") == (*INVALID, said)
    status, code, _ = answer(started, signed(good), ProviderId="graph.facebook.com")
    assert (status, code) == (403, "IDPRejectedClaim")
    assert answer(started, signed(good))[:2] == (200, "")


def test_the_issuer_cannot_be_reached(started):
    port = int(started.url.rpartition(":")[2]) + 1
    token = signed(now_claims({"iss": f"http://localhost:{port}"}))
    assert answer(started, token)[:2] == (400, "IDPCommunicationError")
    assert answer(started, signed(now_claims({"iss": ISSUER})))[0] == 200
