"""Web identities with stock clients: boto3 against a running node, and ID tokens of a certified provider,
panva's oidc-provider, got as a browser gets them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import boto3
import pytest
import requests
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.oidc.issuing import claims, encoded, trust
from tests.running import (
    ROOT,
    Files,
    RunningNode,
    free_base_port,
    post_signed,
    running_node,
    signing,
    sts_with,
    wait_for,
)
from tests.world.worlds import ACME

pytestmark = pytest.mark.processes
SERVER = ROOT / "tests" / "compat" / "oidc_server"
BACK = "https://client.example.com/back"
CLIENT, SECRET = "builds", "a secret of the tests"


@dataclass
class Issuer:
    """A running provider."""

    url: str

    def id_token(self, login: str) -> str:
        """The authorization code flow (OpenID Connect Core section 3.1) as `login`, as a browser does it."""
        with requests.Session() as browser:
            asked = {"client_id": CLIENT, "response_type": "code", "scope": "openid", "redirect_uri": BACK}
            where = f"{self.url}/auth?" + requests.compat.urlencode(asked)
            while not where.startswith(BACK):
                answer = browser.get(where, allow_redirects=False, timeout=10)
                if answer.status_code == 200:
                    prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
                    assert prompt is not None, answer.text
                    form = {"prompt": prompt[1], "login": login, "password": "any"}
                    answer = browser.post(where, data=form, allow_redirects=False, timeout=10)
                where = urljoin(where, answer.headers["Location"])
            code = parse_qs(urlsplit(where).query)["code"][0]
            form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}
            answer = browser.post(f"{self.url}/token", data=form, auth=(CLIENT, SECRET.replace(" ", "+")), timeout=10)
            token: str = answer.json()["id_token"]
            return token


@contextmanager
def running_issuer(port: int) -> Iterator[Issuer]:
    url = f"http://localhost:{port}"
    process = subprocess.Popen(["node", "server.js", url, str(port)], cwd=SERVER, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: requests.get(f"{url}/jwks", timeout=2).status_code == 200, "the provider's start")
        yield Issuer(url)
    finally:
        process.terminate()
        process.wait(timeout=10)


def world(*urls: str) -> dict:
    """Several issuers, and a role for the subject `ann` of each."""
    provider = {"ClientIDList": [CLIENT], "AllowPrivateAddress": True}
    names = [url.partition("://")[2] for url in urls]
    return {
        "Accounts": [
            {
                "Id": ACME,
                "OpenIDConnectProviders": [{"Url": url, **provider} for url in urls],
                "Roles": [
                    {
                        "RoleName": f"of-{number}",
                        "AssumeRolePolicyDocument": trust(
                            federated=f"arn:aws:iam::{ACME}:oidc-provider/{name}",
                            condition={"StringEquals": {f"{name}:sub": "ann", f"{name}:aud": CLIENT}},
                        ),
                        "Policies": {},
                    }
                    for number, name in enumerate(names)
                ],
            }
        ]
    }


@pytest.fixture(scope="module")
def server() -> None:
    """The provider's packages, installed by `make test`."""
    missing = "node" if shutil.which("node") is None else "" if (SERVER / "node_modules").exists() else "oidc-provider"
    if missing and os.environ.get("STSD_REQUIRE_ALL"):
        pytest.fail(f"{missing} is missing")
    if missing:
        pytest.skip(f"{missing} is not installed; `make test` installs what npm has")


@dataclass
class Place:
    """A node, and the issuers that it knows: two that run, and one that does not."""

    node: RunningNode
    issuers: list[Issuer]

    def client(self):
        config = Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1})
        return boto3.client("sts", region_name="us-east-1", endpoint_url=self.node.url, config=config)

    def assume(self, token: str, number: int = 0, **more):
        arn = f"arn:aws:iam::{ACME}:role/of-{number}"
        return self.client().assume_role_with_web_identity(
            RoleArn=arn, RoleSessionName="build", WebIdentityToken=token, **more
        )


@pytest.fixture(scope="module")
def place(server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("web-identity")
    port = free_base_port(4)
    ports = range(port + 1, port + 4)
    (folder / "world.json").write_text(json.dumps(world(*(f"http://localhost:{number}" for number in ports))))
    with (
        running_issuer(ports[0]) as first,
        running_issuer(ports[1]) as second,
        running_node(folder / "data", "--world", str(folder / "world.json"), port=port) as node,
    ):
        yield Place(node, [first, second])


def test_a_token_of_a_real_provider_is_exchanged_for_a_session(place):
    answer = place.assume(place.issuers[0].id_token("ann"))
    assert answer["SubjectFromWebIdentityToken"] == "ann"
    assert answer["Audience"] == CLIENT
    assert answer["Provider"].endswith(f":oidc-provider/{place.issuers[0].url.partition('://')[2]}")
    assert 24 <= answer["PackedPolicySize"] <= 26
    identity = sts_with(answer["Credentials"], place.node.url, "us-east-1").get_caller_identity()
    assert identity["Arn"] == answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACME}:assumed-role/of-0/build"
    assert identity["UserId"] == answer["AssumedRoleUser"]["AssumedRoleId"]


def test_several_issuers_each_for_its_own_role(place):
    first, second = (issuer.id_token("ann") for issuer in place.issuers)
    assert place.assume(second, 1)["SubjectFromWebIdentityToken"] == "ann"
    for token, number in ((first, 1), (second, 0)):
        with pytest.raises(ClientError) as refused:
            place.assume(token, number)
        assert refused.value.response["Error"]["Code"] == "AccessDenied"


def test_what_is_refused_comes_as_the_sdks_own_exceptions(place):
    token, client = place.issuers[0].id_token("bob"), place.client()
    with pytest.raises(ClientError, match="Not authorized to perform sts:AssumeRoleWithWebIdentity"):
        place.assume(token)
    with pytest.raises(client.exceptions.InvalidIdentityTokenException):
        place.client().assume_role_with_web_identity(
            RoleArn=f"arn:aws:iam::{ACME}:role/of-0", RoleSessionName="build", WebIdentityToken=token[:-8] + "AAAAAAAA"
        )


def test_an_issuer_that_is_down_is_told_as_such(place):
    down = place.issuers[0].url.rpartition(":")[0] + f":{int(place.issuers[1].url.rpartition(':')[2]) + 1}"
    header, _, signature = place.issuers[0].id_token("ann").split(".")
    now = int(time.time())
    token = f"{header}.{encoded(claims(iss=down, aud=CLIENT, iat=now, exp=now + 60))}.{signature}"
    with pytest.raises(ClientError) as refused:
        place.assume(token, 2)
    assert refused.value.response["Error"]["Code"] == "IDPCommunicationError"


def test_the_credential_provider_of_sdks(place, tmp_path):
    """`web_identity_token_file` in a profile, as jobs in Kubernetes and build services have it."""
    (tmp_path / "token").write_text(place.issuers[0].id_token("ann"))
    (tmp_path / "credentials").write_text("")
    (tmp_path / "config").write_text(
        f"[profile job]\nregion = us-east-1\nendpoint_url = {place.node.url}\nrole_session_name = job-7\n"
        f"role_arn = arn:aws:iam::{ACME}:role/of-0\nweb_identity_token_file = {tmp_path / 'token'}\n"
    )
    identity = Files(tmp_path).sts("job").get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{ACME}:assumed-role/of-0/job-7"


def test_such_a_session_is_revoked_like_any_other(place):
    answer = place.assume(place.issuers[0].id_token("ann"))
    sts = sts_with(answer["Credentials"], place.node.url, "us-east-1")
    sts.get_caller_identity()
    content = {"access_key_id": answer["Credentials"]["AccessKeyId"]}
    told = post_signed(place.node.url, "/v1/revocations", content, signing(answer["Credentials"]), "us-east-1")
    assert told.status_code == 200, told.text
    with pytest.raises(ClientError) as refused:
        sts.get_caller_identity()
    assert refused.value.response["Error"]["Code"] == "InvalidClientTokenId"
