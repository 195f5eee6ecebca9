"""MFA across regions, and through the profile that asks for a code (contract 3)."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.running import RunningCluster, post_signed, run

pytestmark = pytest.mark.processes
WRONG = "invalid MFA one time pass code"
SERIAL = "arn:aws:iam::111122223333:mfa/frank"


def code(cluster: RunningCluster) -> str:
    told = run("stsd", "mfa", "code", "--data-dir", str(cluster.data_dir))
    assert told.returncode == 0, told.stderr
    return told.stdout.strip()


def refused(cluster: RunningCluster, region: str, text: str) -> str:
    sts = cluster.session("acme-frank").client("sts", region_name=region, endpoint_url=cluster.url(region))
    try:
        sts.get_session_token(SerialNumber=SERIAL, TokenCode=text)
    except ClientError as error:
        told: str = error.response["Error"]["Message"]
        return told
    return ""


def test_a_code_used_in_one_region_is_refused_in_the_others(cluster):
    text = code(cluster)
    first, *others = cluster.regions
    assert refused(cluster, first, text) == ""
    assert WRONG in refused(cluster, first, text)
    # What the others have on disk of a later revocation they have of the used code, too: one log, in order.
    session = cluster.sts(f"admin@{first}").get_session_token()["Credentials"]
    subject = {"token": session["SessionToken"], "wait": "all", "timeout_s": 10}
    told = post_signed(cluster.url(first), "/v1/revocations", subject, cluster.keys("admin"), first).json()
    assert sorted(told["confirmed"]) == sorted(cluster.regions)
    for region in others:
        assert WRONG in refused(cluster, region, text)


def test_a_profile_asks_for_the_code(cluster):
    session = cluster.session("acme-payroll")
    provider = session._session.get_component("credential_provider").get_provider("assume-role")
    asked = []

    def prompt(question: str) -> str:
        asked.append(question)
        return code(cluster)

    provider._prompter = prompt
    arn = session.client("sts").get_caller_identity()["Arn"]
    assert arn.startswith("arn:aws:sts::111122223333:assumed-role/payroll/")
    assert SERIAL in asked[0]


def test_without_a_code_the_role_is_closed(cluster):
    with pytest.raises(ClientError, match="is not authorized to perform: sts:AssumeRole"):
        cluster.sts("acme-frank").assume_role(RoleArn="arn:aws:iam::111122223333:role/payroll", RoleSessionName="wages")
