"""What a user does with the stock AWS SDK and the generated files, against three real regions and the router."""

from __future__ import annotations

import time

import pytest
import requests
from botocore.exceptions import ClientError
from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import KeySet

from tests.running import RunningCluster, post_signed, signing, sts_with, wait_for

pytestmark = pytest.mark.processes
AUDIT = "arn:aws:iam::444455556666:role/vendor-audit"
EXTERNAL_ID = "globex-books-2026"


def code_of(call, *arguments, **options):
    with pytest.raises(ClientError) as refused:
        call(*arguments, **options)
    return refused.value.response["Error"]["Code"]


def audit(cluster: RunningCluster, profile: str = "acme-carol", **options):
    return cluster.sts(profile).assume_role(
        RoleArn=AUDIT, RoleSessionName="books", **({"ExternalId": EXTERNAL_ID} | options)
    )


def admin_session(cluster: RunningCluster, region: str):
    return cluster.sts(f"admin@{region}").get_session_token(DurationSeconds=900)["Credentials"]


def accepted(cluster: RunningCluster, credentials, region: str) -> bool:
    client = sts_with(credentials, cluster.url(region), region)
    try:
        client.get_caller_identity()
    except ClientError as refused:
        return refused.response["Error"]["Code"] not in ("InvalidClientTokenId", "ExpiredToken")
    return True


def test_the_administrator_is_known_at_every_endpoint(cluster):
    for profile in ("admin", *(f"admin@{region}" for region in cluster.regions)):
        identity = cluster.sts(profile).get_caller_identity()
        assert identity["Arn"] == "arn:aws:iam::111122223333:user/alice"
        assert identity["Account"] == "111122223333"
        assert identity["UserId"].startswith("AIDARTX3GSDS")


def test_the_endpoints_say_who_answered(cluster):
    for region in cluster.regions:
        headers = cluster.sts(f"admin@{region}").get_caller_identity()["ResponseMetadata"]["HTTPHeaders"]
        assert headers["x-stsd-region"] == region
        assert int(headers["x-stsd-staleness-ms"]) >= 0


def test_a_cross_account_role_wants_its_external_id(cluster):
    assert audit(cluster)["AssumedRoleUser"]["Arn"] == "arn:aws:sts::444455556666:assumed-role/vendor-audit/books"
    with pytest.raises(ClientError) as refused:
        cluster.sts("acme-carol").assume_role(RoleArn=AUDIT, RoleSessionName="books")
    assert refused.value.response["Error"] == {
        "Type": "Sender",
        "Code": "AccessDenied",
        "Message": "User: arn:aws:iam::111122223333:user/carol is not authorized to perform: sts:AssumeRole"
        f" on resource: {AUDIT}",
    }
    assert code_of(audit, cluster, ExternalId="another") == "AccessDenied"
    assert code_of(audit, cluster, profile="acme-bob") == "AccessDenied"
    assert code_of(audit, cluster, profile="globex-erin") == "AccessDenied"


def test_new_credentials_work_at_once_in_every_region(cluster):
    credentials = audit(cluster)["Credentials"]
    for region in cluster.regions:
        identity = sts_with(credentials, cluster.url(region), region).get_caller_identity()
        assert identity["Arn"] == "arn:aws:sts::444455556666:assumed-role/vendor-audit/books"


def test_credentials_stop_at_their_expiry(cluster):
    credentials = audit(cluster, DurationSeconds=900)["Credentials"]
    cluster.hook("clock", {"advance": 890})
    assert accepted(cluster, credentials, "eu-west-1")
    cluster.hook("clock", {"advance": 11})
    for region in cluster.regions:
        client = sts_with(credentials, cluster.url(region), region)
        assert code_of(client.get_caller_identity) == "ExpiredToken"


def test_a_role_profile_works(cluster):
    identity = cluster.sts("globex-vendor-audit").get_caller_identity()
    assert identity["Arn"].startswith("arn:aws:sts::444455556666:assumed-role/vendor-audit/")


def test_a_role_is_reached_through_a_chain_of_profiles(cluster):
    identity = cluster.sts("acme-incident-response").get_caller_identity()
    assert identity["Arn"].startswith("arn:aws:sts::111122223333:assumed-role/incident-response/")


def test_a_chained_session_lasts_an_hour_at_most(cluster):
    on_call = cluster.sts("acme-dave").assume_role(
        RoleArn="arn:aws:iam::111122223333:role/on-call", RoleSessionName="fire"
    )["Credentials"]
    client = sts_with(on_call, cluster.url("us-east-1"), "us-east-1")
    role = "arn:aws:iam::111122223333:role/incident-response"
    assert client.assume_role(RoleArn=role, RoleSessionName="hose", DurationSeconds=3600)["Credentials"]


def test_a_signature_for_another_region_is_refused(cluster):
    client = cluster.sts("admin", endpoint_url=cluster.url("eu-west-1"), region_name="us-east-1")
    assert code_of(client.get_caller_identity) == "SignatureDoesNotMatch"
    elsewhere = cluster.sts("admin", region_name="eu-west-1")
    assert code_of(elsewhere.get_caller_identity) == "SignatureDoesNotMatch"


def test_a_client_cannot_forge_the_mark_of_the_global_endpoint(cluster):
    url = cluster.url("eu-west-1")
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    forged = {"x-stsd-forwarded": f"global;127.0.0.1;1;{int(time.time())};{'0' * 32}"}
    answer = requests.post(url, body, headers=forged | {"Content-Type": "application/x-www-form-urlencoded"}, timeout=5)
    assert answer.status_code == 403


def test_verify_answers_in_another_region_while_the_issuer_is_dead(cluster):
    token = admin_session(cluster, "us-east-1")["SessionToken"]
    cluster.kill("us-east-1")
    answer = requests.post(f"{cluster.url('eu-west-1')}/v1/verify", json={"token": token}, timeout=5).json()
    assert answer["active"] is True
    assert answer["principal"] == "arn:aws:iam::111122223333:user/alice"
    assert answer["claims"]["region"] == "us-east-1"


def test_a_jose_library_verifies_a_token_with_the_published_keys(cluster):
    token = audit(cluster)["Credentials"]["SessionToken"]
    metadata = requests.get(f"{cluster.url()}/.well-known/openid-configuration", timeout=5).json()
    assert metadata["issuer"] == cluster.url()
    keys = KeySet.import_key_set(requests.get(metadata["jwks_uri"], timeout=5).json())
    with pytest.warns(SecurityWarning, match="RFC 9864"):
        opened = jws.deserialize_compact(token, keys, algorithms=["EdDSA"])
    assert b"vendor-audit" in opened.payload


def test_a_revocation_is_effective_here_at_once_and_everywhere_soon(cluster):
    credentials = admin_session(cluster, "us-east-1")
    subject = {"access_key_id": credentials["AccessKeyId"]}
    answer = post_signed(cluster.url("us-east-1"), "/v1/revocations", subject, cluster.keys("admin"), "us-east-1")
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"id", "origin", "sequence", "applies_until", "copies", "revocation_token"}
    assert not accepted(cluster, credentials, "us-east-1")
    for region in cluster.regions:
        wait_for(lambda region=region: not accepted(cluster, credentials, region), f"refusal in {region}")


def test_what_was_chained_from_a_revoked_session_is_refused_too(cluster):
    on_call = cluster.sts("acme-dave").assume_role(
        RoleArn="arn:aws:iam::111122223333:role/on-call", RoleSessionName="fire"
    )["Credentials"]
    chained = sts_with(on_call, cluster.url("us-east-1"), "us-east-1").assume_role(
        RoleArn="arn:aws:iam::111122223333:role/incident-response", RoleSessionName="hose"
    )["Credentials"]
    subject = {"access_key_id": on_call["AccessKeyId"]}
    assert post_signed(cluster.url("us-east-1"), "/v1/revocations", subject, cluster.keys("admin"), "us-east-1").ok
    assert not accepted(cluster, on_call, "us-east-1")
    assert not accepted(cluster, chained, "us-east-1")


def test_a_session_may_revoke_itself_and_nobody_elses(cluster):
    mine, other = audit(cluster)["Credentials"], audit(cluster)["Credentials"]
    url = cluster.url("us-east-1")
    refused = post_signed(url, "/v1/revocations", {"token": other["SessionToken"]}, signing(mine), "us-east-1")
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "AccessDenied"
    done = post_signed(url, "/v1/revocations", {"token": mine["SessionToken"]}, signing(mine), "us-east-1")
    assert done.status_code == 200
    assert not accepted(cluster, mine, "us-east-1")
    assert accepted(cluster, other, "us-east-1")


def test_a_role_cut_off_spares_new_sessions_of_the_same_region(cluster):
    before = cluster.sts("acme-bob").assume_role(
        RoleArn="arn:aws:iam::111122223333:role/deploy", RoleSessionName="old"
    )["Credentials"]
    url = cluster.url("us-east-1")
    subject = {"role_arn": "arn:aws:iam::111122223333:role/deploy"}
    assert post_signed(url, "/v1/revocations", subject, cluster.keys("admin"), "us-east-1").ok
    client = sts_with(before, url, "us-east-1")
    assert code_of(client.get_caller_identity) == "ExpiredToken"
    bob = cluster.sts("acme-bob", endpoint_url=url, region_name="us-east-1")
    after = bob.assume_role(RoleArn="arn:aws:iam::111122223333:role/deploy", RoleSessionName="new")["Credentials"]
    assert accepted(cluster, after, "us-east-1")


def test_a_revocation_survives_kill_9_of_the_node_that_took_it(cluster):
    credentials = admin_session(cluster, "us-east-1")
    subject = {"access_key_id": credentials["AccessKeyId"]}
    assert post_signed(cluster.url("us-east-1"), "/v1/revocations", subject, cluster.keys("admin"), "us-east-1").ok
    cluster.kill("us-east-1")
    cluster.start("us-east-1")
    assert not accepted(cluster, credentials, "us-east-1")


def test_a_region_that_was_away_obeys_when_it_comes_back(cluster):
    credentials = admin_session(cluster, "us-east-1")
    cluster.kill("ap-southeast-1")
    subject = {"access_key_id": credentials["AccessKeyId"]}
    answer = post_signed(cluster.url("us-east-1"), "/v1/revocations", subject, cluster.keys("admin"), "us-east-1")
    assert answer.json()["copies"] == 2
    cluster.start("ap-southeast-1")
    wait_for(lambda: not accepted(cluster, credentials, "ap-southeast-1"), "refusal after the return")


def test_a_region_that_is_ready_again_has_caught_up(cluster):
    credentials = [admin_session(cluster, "us-east-1") for _ in range(5)]
    cluster.kill("ap-southeast-1")
    for each in credentials:
        content = {"token": each["SessionToken"]}
        assert post_signed(cluster.url("us-east-1"), "/v1/revocations", content, cluster.keys("admin"), "us-east-1").ok
    cluster.start("ap-southeast-1")
    for each in credentials:
        assert not accepted(cluster, each, "ap-southeast-1")


def test_staleness_counts_what_was_missed_while_a_region_was_down(cluster):
    cluster.kill("ap-southeast-1")
    cluster.kill("eu-west-1")
    time.sleep(2)
    cluster.start("ap-southeast-1")
    staleness_ms = requests.get(f"{cluster.url('ap-southeast-1')}/healthz", timeout=5).headers["x-stsd-staleness-ms"]
    assert int(staleness_ms) >= 2_000


def test_a_lone_copy_is_told(cluster):
    cluster.kill("ap-southeast-1")
    cluster.kill("eu-west-1")
    credentials = admin_session(cluster, "us-east-1")
    subject = {"token": credentials["SessionToken"]}
    answer = post_signed(cluster.url("us-east-1"), "/v1/revocations", subject, cluster.keys("admin"), "us-east-1")
    assert answer.status_code == 200
    assert answer.json()["copies"] == 1
    assert answer.json()["applies_until"] == int(credentials["Expiration"].timestamp())


def test_at_least_waits_for_nobody(cluster):
    token = admin_session(cluster, "us-east-1")["SessionToken"]
    answer = post_signed(
        cluster.url("us-east-1"), "/v1/revocations", {"token": token}, cluster.keys("admin"), "us-east-1"
    ).json()
    content = {"token": token, "at_least": answer["revocation_token"]}
    here = requests.post(f"{cluster.url('us-east-1')}/v1/verify", json=content, timeout=5)
    assert here.json() == {"active": False, "reason": "revoked"}

    def there():
        told = requests.post(f"{cluster.url('eu-west-1')}/v1/verify", json=content, timeout=5)
        assert told.status_code == 503 or told.json() == {"active": False, "reason": "revoked"}
        return told.status_code == 200

    wait_for(there, "the revocation's arrival")


def test_the_feed_tells_every_revocation_once(cluster):
    url = cluster.url("us-east-1")
    first = requests.get(f"{url}/v1/revocations", timeout=5)
    credentials = admin_session(cluster, "us-east-1")
    subject = {"access_key_id": credentials["AccessKeyId"]}
    made = post_signed(url, "/v1/revocations", subject, cluster.keys("admin"), "us-east-1").json()
    page = requests.get(f"{url}/v1/revocations", {"after": first.json()["cursor"]}, timeout=5).json()
    assert [(entry["id"], entry["kind"], entry["subject"]) for entry in page["revocations"]] == [
        (made["id"], "named", credentials["AccessKeyId"])
    ]
    rest = requests.get(f"{url}/v1/revocations", {"after": page["cursor"]}, timeout=5)
    assert rest.json()["revocations"] == []
    again = requests.get(
        f"{url}/v1/revocations", {"after": page["cursor"]}, headers={"If-None-Match": rest.headers["ETag"]}, timeout=5
    )
    assert again.status_code == 304


def test_other_regions_notice_nothing_of_a_dead_one_and_the_global_endpoint_fails_over(cluster):
    cluster.kill("us-east-1")
    assert cluster.sts("admin@eu-west-1").get_caller_identity()["Account"] == "111122223333"

    def answered_elsewhere():
        headers = cluster.sts("admin").get_caller_identity()["ResponseMetadata"]["HTTPHeaders"]
        return headers["x-stsd-region"] != "us-east-1"

    wait_for(answered_elsewhere, "the router's failover")
    cluster.start("us-east-1")
    assert cluster.sts("admin@us-east-1").get_caller_identity()["Account"] == "111122223333"


def test_status_shows_what_runs(cluster):
    assert cluster.command("status").returncode == 0
    cluster.kill("eu-west-1")
    result = cluster.command("status")
    assert result.returncode == 1
    for region in cluster.regions:
        assert region in result.stdout


def test_a_location_sees_latency_where_the_plain_urls_have_none(cluster):
    place = cluster.info["locations"]["ap-southeast-1"]
    client = cluster.sts("admin@us-east-1", endpoint_url=place["regional"]["us-east-1"])
    started = time.monotonic()
    assert client.get_caller_identity()["Account"] == "111122223333"
    assert time.monotonic() - started > 0.15
