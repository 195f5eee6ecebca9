"""Whatever is killed and whenever: an acknowledged revocation is refused everywhere, for good."""

from __future__ import annotations

import random
import threading
import time

import pytest
import requests

from tests.running import RunningCluster, post_signed, wait_for

pytestmark = pytest.mark.processes


def revoke_until_killed(cluster: RunningCluster, region: str, tokens: list[str], acknowledged: list[str]) -> None:
    keys, url = cluster.keys("admin"), cluster.url(region)
    for token in tokens:
        try:
            answer = post_signed(url, "/v1/revocations", {"token": token}, keys, region)
        except requests.ConnectionError:
            return
        if answer.status_code == 200:
            acknowledged.append(token)


def verdicts(cluster: RunningCluster, region: str, tokens: list[str]) -> list[dict]:
    return requests.post(f"{cluster.url(region)}/v1/verify", json={"tokens": tokens}, timeout=10).json()["results"]


def kill_while_revoking(cluster: RunningCluster, seed: int) -> None:
    """Kill a random node at a random moment while another thread revokes at a random region."""
    chance = random.Random(seed)
    sts = cluster.sts("admin@us-east-1")
    tokens = [sts.get_session_token()["Credentials"]["SessionToken"] for _ in range(40)]
    at, victim = chance.choice(cluster.regions), chance.choice(cluster.regions)
    acknowledged: list[str] = []
    thread = threading.Thread(target=revoke_until_killed, args=(cluster, at, tokens, acknowledged))
    thread.start()
    time.sleep(chance.uniform(0.0, 0.4))
    cluster.kill(victim)
    thread.join()
    cluster.start(victim)
    for region in cluster.regions:

        def obeyed(region: str = region) -> bool:
            return all(verdict.get("reason") == "revoked" for verdict in verdicts(cluster, region, acknowledged))

        if region == at:
            assert obeyed(), f"seed {seed}: {region} forgot what it had acknowledged"
        wait_for(obeyed, f"seed {seed}: obedience in {region}")


@pytest.mark.parametrize("seed", range(4))
def test_no_acknowledged_revocation_is_lost(cluster, seed):
    kill_while_revoking(cluster, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 200))
def test_no_acknowledged_revocation_is_lost_in_many_runs(cluster, seed):
    kill_while_revoking(cluster, seed)
