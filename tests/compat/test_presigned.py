"""GetCallerIdentity that one party signs and another one sends: EKS authenticators and Vault (spec 2.2)."""

from __future__ import annotations

import base64
import json
from urllib.parse import urlsplit

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.session import Session as BotocoreSession
from botocore.signers import RequestSigner

pytestmark = pytest.mark.processes
ALICE = "arn:aws:iam::111122223333:user/alice"
CLUSTER = "x-k8s-aws-id"


@pytest.fixture
def credentials(node) -> Credentials:
    keys = node.keys("admin")
    return Credentials(keys["access_key_id"], keys["secret_access_key"])


def eks_token(node, credentials: Credentials, cluster: str) -> str:
    """As `aws eks get-token` and aws-iam-authenticator make one."""
    session = BotocoreSession()
    model = session.get_service_model("sts").service_id
    signer = RequestSigner(model, node.region, "sts", "v4", credentials, session.get_component("event_emitter"))
    url = signer.generate_presigned_url(
        {
            "method": "GET",
            "url": f"{node.url}/?Action=GetCallerIdentity&Version=2011-06-15",
            "body": {},
            "headers": {CLUSTER: cluster},
            "context": {},
        },
        region_name=node.region, expires_in=60, operation_name="",
    )  # fmt: skip
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def replay(token: str, cluster: str) -> requests.Response:
    """As the authenticator's server does."""
    encoded = token.removeprefix("k8s-aws-v1.")
    url = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    assert "x-k8s-aws-id" in urlsplit(url).query
    return requests.get(url, headers={CLUSTER: cluster, "Accept": "application/json"}, timeout=10)


def test_a_token_for_eks_is_replayed_and_answered_in_json(node, credentials):
    answer = replay(eks_token(node, credentials, "anvils"), "anvils")
    assert answer.status_code == 200, answer.text
    assert answer.json()["GetCallerIdentityResponse"]["GetCallerIdentityResult"]["Arn"] == ALICE


def test_a_token_for_eks_is_of_no_use_to_another_cluster(node, credentials):
    answer = replay(eks_token(node, credentials, "anvils"), "others")
    assert answer.status_code == 403
    assert answer.json()["Error"]["Code"] == "SignatureDoesNotMatch"


def signed_for_vault(node, credentials: Credentials, server: str) -> AWSRequest:
    """What a client of Vault's aws method hands over: a POST, its headers signed and one of them Vault's own."""
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        "X-Vault-AWS-IAM-Server-ID": server,
    }
    request = AWSRequest("POST", f"{node.url}/", headers, b"Action=GetCallerIdentity&Version=2011-06-15")
    SigV4Auth(credentials, "sts", node.region).add_auth(request)
    return request


def login(request: AWSRequest, **headers: str) -> requests.Response:
    """As Vault does: URL, body and headers arrive in base64, and are sent on."""
    handed = base64.b64encode(json.dumps(dict(request.headers.items()) | headers).encode())
    return requests.post(request.url, request.body, headers=json.loads(base64.b64decode(handed)), timeout=10)


def test_a_request_for_vault_is_sent_on(node, credentials):
    answer = login(signed_for_vault(node, credentials, "vault.example"))
    assert answer.status_code == 200, answer.text
    assert f"<Arn>{ALICE}</Arn>" in answer.text


def test_a_request_for_vault_is_of_no_use_to_another_server(node, credentials):
    answer = login(
        signed_for_vault(node, credentials, "vault.example"), **{"X-Vault-AWS-IAM-Server-ID": "evil.example"}
    )
    assert answer.status_code == 403
    assert "<Code>SignatureDoesNotMatch</Code>" in answer.text
