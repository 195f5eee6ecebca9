"""A cluster and issuers of identity tokens: those that it trusts, one of which hangs, and the one that it is."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from joserfc import jws, jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry

from tests.oidc.issuing import CLIENT, claims, signed, trust
from tests.running import RunningCluster, running_cluster
from tests.world.worlds import ACME, account, allow, key, user, world

pytestmark = pytest.mark.processes
AUDIENCE = "https://api.example.com"
EJECTING = 5
"""So many calls without an answer in a row have a region ejected (see `cluster.breaker`)."""


@dataclass
class Place:
    """The cluster, and the URL of an issuer that takes connections and says nothing."""

    cluster: RunningCluster
    hung: str

    def assume(self, subject: str = "ann") -> dict[str, Any]:
        """A session for a token of the hung issuer. Raises ClientError."""
        now = int(time.time())
        token = signed(claims(iss=self.hung, sub=subject, iat=now, exp=now + 300))
        config = Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}, read_timeout=30)
        client = boto3.client("sts", region_name="us-east-1", endpoint_url=self.cluster.url(), config=config)
        arn = f"arn:aws:iam::{ACME}:role/of-the-hung-one"
        answer: dict[str, Any] = client.assume_role_with_web_identity(
            RoleArn=arn, RoleSessionName="build", WebIdentityToken=token
        )
        return answer

    def healthy(self) -> dict[str, str]:
        """The regions as the router sees them."""
        found: dict[str, str] = requests.get(f"{self.cluster.url()}/readyz", timeout=5).json()["regions"]
        return found


def worldly(hung: str) -> dict[str, Any]:
    name = hung.partition("://")[2]
    builder = {
        "RoleName": "of-the-hung-one",
        "AssumeRolePolicyDocument": trust(federated=f"arn:aws:iam::{ACME}:oidc-provider/{name}"),
    }
    issuing = user("issuer", Policies={"issue": allow("sts:GetWebIdentityToken")}, AccessKeys=[key()])
    trusted = {"Url": hung, "ClientIDList": [CLIENT], "AllowPrivateAddress": True}
    return world(
        account(OutboundWebIdentityFederation=True, OpenIDConnectProviders=[trusted], Roles=[builder], Users=[issuing])
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("issuers")
    with socket.create_server(("127.0.0.1", 0), backlog=256) as silent:
        hung = f"http://127.0.0.1:{silent.getsockname()[1]}"
        (folder / "world.json").write_text(json.dumps(worldly(hung)))
        flags = ("--world", str(folder / "world.json"), "--topology", "two_continents")
        with running_cluster(folder / "data", *flags) as cluster:
            yield Place(cluster, hung)


def test_who_comes_from_an_issuer_that_hangs_hears_that_from_the_region_and_nobody_else_notices(place):
    callers = 2 * EJECTING
    with ThreadPoolExecutor(callers) as pool:
        calls = [pool.submit(place.assume) for _ in range(callers)]
        client = place.cluster.sts(f"{ACME}-issuer")
        while not all(call.done() for call in calls):
            assert client.get_caller_identity()["Account"] == ACME
            time.sleep(0.05)
    refusals = [call.exception() for call in calls]
    assert all(isinstance(refusal, ClientError) for refusal in refusals)
    assert {refusal.response["Error"]["Code"] for refusal in refusals} == {"IDPCommunicationError"}
    assert set(place.healthy().values()) == {"up"}


@pytest.mark.parametrize("algorithm", ["RS256", "ES384"])
def test_a_relying_party_reads_a_token_with_what_it_finds_at_its_issuer(place, algorithm):
    """From the URL that the token names on, as OpenID Connect Discovery 1.0 section 4 has it."""
    region = place.cluster.regions[1]
    client = place.cluster.sts(f"{ACME}-issuer", region_name=region, endpoint_url=place.cluster.url(region))
    token = client.get_web_identity_token(Audience=[AUDIENCE], SigningAlgorithm=algorithm)["WebIdentityToken"]
    issuer = json.loads(jws.extract_compact(token.encode()).payload)["iss"]
    assert issuer.startswith(f"{place.cluster.url()}/")
    found = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=5).json()
    assert (found["issuer"], algorithm in found["id_token_signing_alg_values_supported"]) == (issuer, True)
    keys = KeySet.import_key_set(requests.get(found["jwks_uri"], timeout=5).json())
    read = jwt.decode(token, keys, algorithms=[algorithm])
    JWTClaimsRegistry(iss={"value": issuer}, aud={"value": AUDIENCE}, exp={"essential": True}).validate(read.claims)
    assert read.claims["sub"] == f"arn:aws:iam::{ACME}:user/issuer"
    start, _, signature = token.rpartition(".")
    with pytest.raises(BadSignatureError):
        jwt.decode(f"{start}.{signature[::-1]}", keys, algorithms=[algorithm])
