"""What every client is asked to do: a world, the calls with their parameters, and what each has to come to.

The programs in `aio/`, `js/`, `go/` and `java/` read the scenario as JSON; a call's parameters are those of botocore's
model.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from tests.oidc.issuing import claims, jwk, jwks, provider, rsa, signed, trust
from tests.running import RunningNode, sts_with
from tests.saml import idp
from tests.world.worlds import ACME, GLOBEX, account, allow, key, role, user, world

REGION = "us-east-1"
ALICE = f"arn:aws:iam::{ACME}:user/alice"
ROLE, CHAINED = (f"arn:aws:iam::{ACME}:role/{name}" for name in ("deploy", "second"))
WEB_ROLE = f"arn:aws:iam::{ACME}:role/web"
STARTED = int(time.time())
WEB_TOKEN = signed(claims(iat=STARTED, exp=STARTED + 3600))
ASSERTION = idp.encoded(
    now=STARTED, conditions="<saml:Conditions/>", not_on_or_after=idp.stamp(STARTED + 3600)
)  # longer than usual, as the calls may come late in a run of all tests
KEY = "AKIARTX3GSDSQAAAAAAA"
SAML_TRUST = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Federated": idp.PROVIDER},
        "Action": "sts:AssumeRoleWithSAML",
        "Condition": {"StringEquals": {"SAML:aud": idp.RECIPIENT}},
    },
}
WORLD = {
    **world(
        account(
            OutboundWebIdentityFederation=True,
            OpenIDConnectProviders=[provider(Jwks=jwks(jwk(rsa())))],
            SAMLProviders=[{"Name": "corp", "SAMLMetadataDocument": idp.metadata()}],
            Users=[user("alice", Administrator=True, AccessKeys=[key(KEY)])],
            Roles=[
                role("deploy", Policies={"all": allow("*")}),
                role("second", ROLE, Policies={"all": allow("*")}),
                {"RoleName": "web", "AssumeRolePolicyDocument": trust()},
                {"RoleName": "engineers", "AssumeRolePolicyDocument": SAML_TRUST},
            ],
        ),
        account(GLOBEX),
    ),
    "Organization": {"ManagementAccount": ACME, "CentralizedRootAccess": ["RootCredentialsManagement"]},
}
CALLER = {"AccessKeyId": KEY, "SecretAccessKey": "x" * 40}
TASK = "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"
CALLS: dict[str, dict[str, Any]] = {
    "AssumeRole": {"RoleArn": ROLE, "RoleSessionName": "one", "DurationSeconds": 900},
    "AssumeRoleWithSAML": {"RoleArn": idp.ROLE, "PrincipalArn": idp.PROVIDER, "SAMLAssertion": ASSERTION},
    "AssumeRoleWithWebIdentity": {"RoleArn": WEB_ROLE, "RoleSessionName": "web", "WebIdentityToken": WEB_TOKEN},
    "AssumeRoot": {"TargetPrincipal": GLOBEX, "TaskPolicyArn": {"arn": TASK}},
    "DecodeAuthorizationMessage": {"EncodedMessage": "sealed by nobody"},
    "GetAccessKeyInfo": {"AccessKeyId": KEY},
    "GetCallerIdentity": {},
    "GetDelegatedAccessToken": {"TradeInToken": "of nobody"},
    "GetFederationToken": {"Name": "ann", "Policy": json.dumps(allow("sts:GetCallerIdentity"))},
    "GetSessionToken": {"DurationSeconds": 900},
    "GetWebIdentityToken": {"Audience": ["relying-party"], "SigningAlgorithm": "ES384"},
}
SESSION = f"arn:aws:sts::{ACME}:assumed-role"
RESULTS = {
    "AssumeRole": f"{SESSION}/deploy/one",
    "AssumeRoleWithSAML": f"{SESSION}/engineers/alice",
    "AssumeRoleWithWebIdentity": f"{SESSION}/web/web",
    "AssumeRoot": f"arn:aws:iam::{GLOBEX}:root",
    "GetAccessKeyInfo": ACME,
    "GetCallerIdentity": ALICE,
    "GetFederationToken": f"arn:aws:sts::{ACME}:federated-user/ann",
    "GetSessionToken": ALICE,
    "credentials of a role": f"{SESSION}/deploy/",
    "credentials of a chained role": f"{SESSION}/second/",
    "credentials of a web identity token file": f"{SESSION}/web/",
    "credentials of a process": ALICE,
}
"""What the answer names, or the identity that its credentials give; a provider's session name is its own choice."""
REFUSALS = {
    "DecodeAuthorizationMessage": ("InvalidAuthorizationMessageException", "Message is not valid"),
    "GetDelegatedAccessToken": ("AccessDenied", "The trade-in token included in the request is invalid."),
}
"""Calls that have to be refused: the code, and the message."""
PROVIDERS = (
    "credentials of a role",
    "credentials of a chained role",
    "credentials of a web identity token file",
    "credentials of a process",
)
RETRY = "retry after Throttling"
ROWS = (*CALLS, *PROVIDERS, RETRY)


def write(node: RunningNode, busy: RunningNode, folder: Path) -> Path:
    """The scenario's files: `scenario.json` for programs, `config` and `credentials` for whatever reads AWS's files."""
    session = sts_with({**CALLER, "SessionToken": None}, node.url, REGION).get_session_token()["Credentials"]
    issued = {"Version": 1, **session, "Expiration": session["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ")}
    (folder / "process.json").write_text(json.dumps(issued))
    common = f"region = {REGION}\nendpoint_url = {node.url}\n"
    (folder / "web.jwt").write_text(WEB_TOKEN)
    (folder / "credentials").write_text(
        f"[alice]\naws_access_key_id = {KEY}\naws_secret_access_key = {CALLER['SecretAccessKey']}\n"
    )
    (folder / "config").write_text(
        f"[profile alice]\n{common}\n"
        f"[profile role]\n{common}role_arn = {ROLE}\nsource_profile = alice\n\n"
        f"[profile chained]\n{common}role_arn = {CHAINED}\nsource_profile = role\n\n"
        f"[profile web]\n{common}role_arn = {WEB_ROLE}\nweb_identity_token_file = {folder / 'web.jwt'}\n\n"
        f"[profile process]\n{common}credential_process = cat {folder / 'process.json'}\n"
    )
    file = folder / "scenario.json"
    providers = {"role": ROLE, "chained": CHAINED, "web_role": WEB_ROLE, "profile": "process"}
    providers["token_file"] = str(folder / "web.jwt")
    content = {"region": REGION, "url": node.url, "busy_url": busy.url, "caller": CALLER, "calls": CALLS}
    file.write_text(json.dumps({**content, "providers": providers}))
    return file


def environment(folder: Path) -> dict[str, str]:
    """What makes a client read the scenario's files and nothing of this machine."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    files = {"AWS_CONFIG_FILE": "config", "AWS_SHARED_CREDENTIALS_FILE": "credentials", "HOME": "."}
    named = {name: str(folder / path) for name, path in files.items()}
    return clean | named | {"AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
