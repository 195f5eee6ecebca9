"""As many regions as a cluster may have, in real processes."""

from __future__ import annotations

import pytest
import requests

from tests.running import RunningCluster, post_signed, running_cluster, signing, wait_for

PORTS = 512


def is_refused(cluster: RunningCluster, region: str, token: str) -> bool:
    answer = requests.post(f"{cluster.url(region)}/v1/verify", json={"token": token}, timeout=5)
    return answer.json()["active"] is False


@pytest.mark.processes
def test_twelve_regions_serve_their_places_and_refuse_what_the_first_revokes(tmp_path):
    with running_cluster(tmp_path / "data", "--topology", "twelve_regions", ports=PORTS) as cluster:
        assert [cluster.url(region) for region in cluster.regions] == [
            f"http://127.0.0.1:{cluster.base_port + number}" for number in range(1, 13)
        ]
        session = cluster.sts("admin@us-east-1").get_session_token()["Credentials"]
        token = session["SessionToken"]
        far = cluster.info["locations"]["ap-east-1"]
        answer = requests.post(f"{far['global']}/v1/verify", json={"token": token}, timeout=5)
        assert (answer.json()["active"], answer.headers["x-stsd-region"]) == (True, "ap-east-1")
        content = {"token": token}
        revoked = post_signed(cluster.url("us-east-1"), "/v1/revocations", content, signing(session), "us-east-1")
        assert revoked.status_code == 200, revoked.text
        for region in cluster.regions:
            wait_for(lambda region=region: is_refused(cluster, region, token), f"the revocation in {region}")
        assert cluster.stop() == 0
