"""`cluster up --backbone nats`: its servers, as a user meets them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import requests

from tests.cluster.test_local import is_alive, is_refused, revoked_session
from tests.running import RunningCluster, free_base_port, run, running_cluster, wait_for

pytestmark = pytest.mark.processes
SERVERS = [
    f"{kind}-{region}" for region in ("us-east-1", "eu-west-1", "ap-southeast-1") for kind in ("core", "jetstream")
]


def brokers(cluster: RunningCluster) -> list[int]:
    """The processes that serve this cluster's files."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().decode()
        except OSError:
            continue
        if "nats-server" in command and str(cluster.data_dir) in command:
            found.append(int(folder.name))
    return found


def test_a_cluster_on_nats_replicates_survives_its_servers_and_ends_with_all_of_them(tmp_path):
    with running_cluster(tmp_path / "data", "--backbone", "nats") as cluster:
        wait_for(lambda: "Ctrl-C" in cluster.output.read_text(), "the welcome")
        assert "nats-server 2." in cluster.output.read_text()
        assert {path.stat().st_mode & 0o777 for path in (cluster.data_dir / "nats").rglob("*.conf")} == {0o600}

        token = revoked_session(cluster)
        for region in cluster.regions:
            wait_for(lambda region=region: is_refused(cluster, region, token), "the revocation")

        for region in ("us-east-1", "eu-west-1"):
            assert cluster.command("partition", region, "ap-southeast-1").returncode == 0
        token = revoked_session(cluster)
        wait_for(lambda: is_refused(cluster, "eu-west-1", token), "the revocation in the region that is not cut off")
        assert not is_refused(cluster, "ap-southeast-1", token)
        assert cluster.command("heal").returncode == 0
        wait_for(lambda: is_refused(cluster, "ap-southeast-1", token), "the revocation behind the cut")

        shown = cluster.command("status").stdout
        assert all(name in shown for name in SERVERS)
        for name in ("core-us-east-1", "jetstream-us-east-1"):
            assert cluster.command("kill", name).returncode == 0
        shown = cluster.command("status")
        assert (shown.returncode, shown.stdout.count("down")) == (1, 2)
        token = revoked_session(cluster)
        assert not is_refused(cluster, "eu-west-1", token)
        assert requests.get(f"{cluster.url('us-east-1')}/readyz", timeout=5).status_code == 200
        for name in ("core-us-east-1", "jetstream-us-east-1"):
            assert cluster.command("start", name).returncode == 0
        wait_for(lambda: is_refused(cluster, "eu-west-1", token), "the revocation after the servers' return")

        cluster.kill("ap-southeast-1")
        for entry in (cluster.data_dir / "ap-southeast-1").iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        cluster.start("ap-southeast-1")  # under a new key, which its servers have to learn
        assert is_refused(cluster, "ap-southeast-1", token)
        token = revoked_session(cluster)
        wait_for(lambda: is_refused(cluster, "ap-southeast-1", token), "the revocation where the disk was empty")

        running = brokers(cluster)
        assert len(running) == 6
        assert cluster.stop() == 0
        assert not any(map(is_alive, running))


def test_a_server_that_is_not_there_is_told_before_anything_is_filled(tmp_path, monkeypatch):
    monkeypatch.setenv("STSD_NATS_SERVER", str(tmp_path / "none"))
    arguments = ("--backbone", "nats", "--base-port", str(free_base_port()), "--data-dir", str(tmp_path / "data"))
    result = run("cluster", "up", *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(f"cluster: --backbone nats: {tmp_path}/none from STSD_NATS_SERVER does not run:")
    assert not (tmp_path / "data").exists()
