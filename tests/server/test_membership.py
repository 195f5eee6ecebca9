"""Joining, leaving and coming back, as an operator does it: real nodes, real commands, real disks that are full."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from stsd.revocation import joining
from stsd.revocation.identity import Signer
from tests.running import (
    RunningNode,
    free_base_port,
    full_disk,
    join,
    no_file_beyond,
    post_signed,
    run,
    running_node,
    self_signed_certificate,
    ticket,
    wait_for,
)

pytestmark = pytest.mark.processes

US, EU, AP = "us-east-1", "eu-west-1", "ap-southeast-1"


def peers(data_dir: Path) -> list[list[str]]:
    """The lines of `stsd peers list`, in words."""
    result = run("stsd", "peers", "list", "--data-dir", str(data_dir))
    assert result.returncode == 0, result.stderr
    return [line.split() for line in result.stdout.splitlines()[1:]]


def revoke(node: RunningNode, keys: dict[str, str], subject: str = "ASIARTX3GSDSQAAAAAAA", **members):
    content = {"access_key_id": subject, **members}
    return post_signed(node.url, "/v1/revocations", content, keys, node.region)


def revoked(url: str) -> set[str]:
    return {entry["subject"] for entry in requests.get(f"{url}/v1/revocations", timeout=5).json()["revocations"]}


def counted(node: RunningNode, result: str) -> bool:
    return f'stsd_peer_messages_total{{result="{result}"}}' in requests.get(f"{node.url}/metrics", timeout=5).text


def readiness(node: RunningNode) -> dict:
    return requests.get(f"{node.url}/readyz", timeout=5).json()


@contextmanager
def two_nodes(tmp_path: Path, *flags: str) -> Iterator[tuple[RunningNode, RunningNode]]:
    """A node that founded a cluster, and one that joined it."""
    with running_node(tmp_path / "us") as first:
        port = free_base_port(1)
        result = join(ticket(first.data_dir), first.url, tmp_path / "eu", f"http://127.0.0.1:{port}")
        assert result.returncode == 0, result.stderr
        with running_node(tmp_path / "eu", region=EU, port=port) as second:
            wait_for(lambda: readiness(second)["ready"], "catching up")
            yield first, second


def test_a_machine_joins_catches_up_and_takes_part(tmp_path):
    with running_node(tmp_path / "us") as first:
        keys = first.keys("admin")
        assert revoke(first, keys).status_code == 200
        text, port = ticket(first.data_dir), free_base_port(1)
        result = join(text, first.url, tmp_path / "eu", f"http://127.0.0.1:{port}")
        assert result.returncode == 0, result.stderr
        assert {path.stat().st_mode & 0o777 for path in (tmp_path / "eu").iterdir()} == {0o600}
        assert not (tmp_path / "eu" / "root.key").exists()
        with running_node(tmp_path / "eu", region=EU, port=port) as second:
            wait_for(lambda: readiness(second)["ready"], "catching up")
            assert "ASIARTX3GSDSQAAAAAAA" in revoked(second.url)
            told = revoke(second, keys, "ASIARTX3GSDSQBBBBBBB", wait="all").json()
            assert (told["confirmed"], told["lagging"]) == ([EU, US], [])
            assert "ASIARTX3GSDSQBBBBBBB" in revoked(first.url)
            assert {origin.partition("/")[0] for origin in readiness(first)["staleness"]} == {US, EU}
            issued = first.sts("admin").get_session_token()["Credentials"]["SessionToken"]
            verdict = requests.post(f"{second.url}/v1/verify", json={"token": issued}, timeout=5).json()
            assert verdict["active"] is True
            assert [line[0] for line in peers(second.data_dir)] == [EU, US]
        logs = (tmp_path / "us.log").read_text() + (tmp_path / "eu.log").read_text()
        for secret in (text.strip(), (tmp_path / "us" / "cluster.key").read_text().strip()):
            assert secret not in logs


def test_a_joined_node_starts_with_nothing_but_its_directory(tmp_path):
    with running_node(tmp_path / "us") as first:
        url = f"http://127.0.0.1:{free_base_port(1)}"
        assert join(ticket(first.data_dir), first.url, tmp_path / "eu", url).returncode == 0
        command = [os.sys.executable, "-m", "stsd", "serve", "--data-dir", str(tmp_path / "eu")]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: requests.get(f"{url}/readyz", timeout=2).json()["ready"], "the node's start")
            assert requests.get(f"{url}/readyz", timeout=2).json()["region"] == EU
            metadata = requests.get(f"{url}/.well-known/openid-configuration", timeout=2).json()
            assert metadata["issuer"] == first.url  # one for the whole cluster
        finally:
            process.kill()
            process.wait()


def test_a_third_node_learns_from_its_sponsor_where_the_others_are(tmp_path):
    """The first node listens everywhere, so its own record says nothing that helps."""
    port = free_base_port(3)
    with running_node(tmp_path / "us", "--host", "0.0.0.0", port=port) as first:
        second, third = (f"http://127.0.0.1:{port + number}" for number in (1, 2))
        assert join(ticket(first.data_dir), first.url, tmp_path / "eu", second).returncode == 0
        with running_node(tmp_path / "eu", region=EU, port=port + 1) as sponsor:
            wait_for(lambda: readiness(sponsor)["ready"], "catching up")
            text = ticket(sponsor.data_dir, AP, "--root-key", str(tmp_path / "us" / "root.key"))
            assert join(text, second, tmp_path / "ap", third).returncode == 0
            with running_node(tmp_path / "ap", region=AP, port=port + 2) as last:
                wait_for(lambda: len(readiness(last)["staleness"]) == 3, "hearing of all")
                told = revoke(last, first.keys("admin"), wait="all").json()
                assert (sorted(told["confirmed"]), told["lagging"]) == ([AP, EU, US], [])


def test_a_ticket_works_once_also_after_the_sponsor_was_killed(tmp_path):
    port = free_base_port(1)
    with running_node(tmp_path / "us", port=port) as first:
        text = ticket(first.data_dir)
        assert join(text, first.url, tmp_path / "eu", "http://127.0.0.1:1").returncode == 0
        first.stop(signal.SIGKILL)
    with running_node(tmp_path / "us", port=port) as first:
        before = peers(first.data_dir)
        again = join(text, first.url, tmp_path / "other", "http://127.0.0.1:1")
        assert again.returncode == 1
        assert "The ticket was used by another machine" in again.stderr
        assert not (tmp_path / "other" / "node.json").exists()
        assert peers(first.data_dir) == before
        assert counted(first, "join_ticket_used")
        wait_for(lambda: "reason=ticket_used" in (tmp_path / "us.log").read_text(), "the event")


def test_of_many_machines_with_one_ticket_at_once_one_joins(tmp_path):
    with running_node(tmp_path / "us") as first:
        held = joining.read_ticket(ticket(first.data_dir).strip())

        def ask(number: int) -> int:
            signer, at = Signer(bytes([number]) * 32), held.ticket.expires_at - 600
            request = joining.ask(held, signer, "http://127.0.0.1:1", at, b"c" * 16)
            return requests.post(f"{first.url}/_peer/join", request, timeout=5).status_code

        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(ask, range(8)))
        assert sorted(statuses) == [200] + [403] * 7
        assert len(peers(first.data_dir)) == 2


def test_a_lost_answer_is_given_again_to_the_same_machine(tmp_path):
    with running_node(tmp_path / "us") as first:
        text, seed, challenge = ticket(first.data_dir), b"i" * 32, b"c" * 16
        held = joining.read_ticket(text.strip())
        request = joining.ask(held, Signer(seed), "http://127.0.0.1:1", held.ticket.expires_at - 600, challenge)
        for _ in range(2):
            answer = requests.post(f"{first.url}/_peer/join", request, timeout=5)
            assert answer.status_code == 200
            content = joining.open_answer(held, seed, challenge, answer.content)
            assert content["cluster_key"] == (tmp_path / "us" / "cluster.key").read_text().strip()
        assert len(peers(first.data_dir)) == 2


def test_a_machine_whose_disk_was_full_joins_with_the_same_ticket_when_there_is_room(tmp_path):
    with running_node(tmp_path / "us") as first:
        (tmp_path / "ticket").write_text(ticket(first.data_dir))
        command = ("join", "--ticket", str(tmp_path / "ticket"), "--sponsor", first.url, "--url", "http://127.0.0.1:1")
        command = ("stsd", *command, "--data-dir", str(tmp_path / "eu"))
        full = run(*command, preexec_fn=no_file_beyond(1000))
        assert (full.returncode, "world.sealed cannot be written: File too large" in full.stderr) == (2, True)
        assert len(full.stderr.splitlines()) == 1
        again = run(*command)
        assert again.returncode == 0, again.stderr
        assert len(peers(first.data_dir)) == 2


def test_through_a_router_a_machine_joins_whom_the_router_chose_and_calls_it_where_it_is(cluster, tmp_path):
    region = "eu-north-1"
    result = join(ticket(cluster.data_dir, region), cluster.url(), tmp_path / "new", "http://127.0.0.1:1")
    assert result.returncode == 0, result.stderr
    urls = json.loads((tmp_path / "new" / "node.json").read_text())["urls"]
    assert cluster.url() not in urls.values()
    assert len(urls) == 2
    assert run("stsd", "peers", "remove", region, "--data-dir", str(cluster.data_dir)).returncode == 0


def test_a_ticket_that_cannot_be_written_removes_nobody(tmp_path):
    with two_nodes(tmp_path) as (first, _):
        out = str(tmp_path / "none" / "ticket")
        command = ("ticket", "--region", EU, "--replace", "--out", out)
        result = run("stsd", "peers", *command, "--data-dir", str(first.data_dir))
        assert result.returncode == 2
        assert result.stderr == f"stsd: --out: {out} cannot be written: No such file or directory\n"
        assert [line[4] for line in peers(first.data_dir)] == ["-", "-"]


def test_tickets_that_do_not_hold_change_nothing(tmp_path):
    with running_node(tmp_path / "us") as first, running_node(tmp_path / "stranger") as stranger:
        before = peers(first.data_dir)
        foreign = join(ticket(stranger.data_dir), first.url, tmp_path / "eu", "http://127.0.0.1:1")
        assert (foreign.returncode, "The ticket is of another cluster" in foreign.stderr) == (1, True)
        root = Signer(bytes.fromhex((tmp_path / "us" / "root.key").read_text()))
        old = joining.mint(root, AP, 1_000_000_000, os.urandom)
        late = join(old, first.url, tmp_path / "ap", "http://127.0.0.1:1")
        assert (late.returncode, "The ticket is over" in late.stderr) == (1, True)
        noise = requests.post(f"{first.url}/_peer/join", b"x" * 70_000, timeout=5)
        assert (noise.status_code, noise.json()["error"]["code"]) == (413, "oversized")
        assert peers(first.data_dir) == before
        assert all(counted(first, f"join_{reason}") for reason in ("other_cluster", "ticket_expired", "oversized"))


def test_who_is_removed_is_told_is_not_waited_for_and_revokes_nothing_more(tmp_path):
    with two_nodes(tmp_path) as (first, second):
        keys = first.keys("admin")
        assert revoke(second, keys, "ASIARTX3GSDSQBBBBBBB", wait="all").json()["copies"] == 2
        result = run("stsd", "peers", "remove", EU, "--data-dir", str(first.data_dir))
        assert result.returncode == 0, result.stderr
        wait_for(lambda: readiness(second)["removed"], "the farewell")
        assert readiness(second)["ready"] is False
        refused = revoke(second, keys, "ASIARTX3GSDSQCCCCCCC")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "ServiceUnavailable")
        assert "ASIARTX3GSDSQBBBBBBB" in revoked(first.url)
        told = revoke(first, keys, "ASIARTX3GSDSQDDDDDDD", wait="all").json()
        assert (told["confirmed"], told["lagging"]) == ([US], [])
        assert {origin.partition("/")[0] for origin in readiness(first)["staleness"]} == {US}
        again = run("stsd", "peers", "remove", EU, "--data-dir", str(first.data_dir))
        assert (again.returncode, "has no node in this cluster" in again.stderr) == (1, True)
    said = run("stsd", "serve", "--data-dir", str(tmp_path / "eu"), "--port", "0")
    assert (said.returncode, "was removed from its cluster" in said.stderr) == (2, True)


def test_who_was_away_when_it_was_removed_is_told_when_it_comes_back_and_not_believed(tmp_path):
    with two_nodes(tmp_path) as (first, second):
        keys = first.keys("admin")
        port = int(second.url.rpartition(":")[2])
        second.stop(signal.SIGKILL)
        assert run("stsd", "peers", "remove", EU, "--data-dir", str(first.data_dir)).returncode == 0
        with running_node(tmp_path / "eu", region=EU, port=port) as back:
            wait_for(lambda: readiness(back)["removed"], "the news")
            assert revoke(back, keys, "ASIARTX3GSDSQBBBBBBB").status_code == 503
            wait_for(lambda: counted(first, "not_a_peer"), "the refusal")
            assert "ASIARTX3GSDSQBBBBBBB" not in revoked(first.url)


def test_a_region_with_a_node_gets_no_ticket_unless_it_is_replaced(tmp_path):
    with two_nodes(tmp_path) as (first, second):
        second.stop(signal.SIGKILL)
        refused = run("stsd", "peers", "ticket", "--region", EU, "--data-dir", str(first.data_dir))
        assert (refused.returncode, "eu-west-1 has a node" in refused.stderr) == (1, True)
        text = ticket(first.data_dir, EU, "--replace", "--out", str(tmp_path / "ticket"))
        assert (text, (tmp_path / "ticket").stat().st_mode & 0o777) == ("", 0o600)
        assert join((tmp_path / "ticket").read_text(), first.url, tmp_path / "new", second.url).returncode == 0
        port = int(second.url.rpartition(":")[2])
        with running_node(tmp_path / "new", region=EU, port=port) as third:
            wait_for(lambda: readiness(third)["ready"], "catching up")
            assert [line[0] for line in peers(first.data_dir)] == [EU, EU, US]


def test_an_operator_whose_first_node_is_cut_off_removes_the_node_that_is_there_now(cluster):
    """It knows only the one before."""
    assert cluster.command("isolate", AP).returncode == 0
    cluster.kill(EU)
    shutil.rmtree(cluster.data_dir / EU)
    cluster.start(EU)
    keys = [line[1] for line in peers(cluster.data_dir) if line[0] == EU and "-" in line]
    assert len(keys) == 1
    result = run("stsd", "peers", "remove", EU, "--data-dir", str(cluster.data_dir))
    assert result.returncode == 0, result.stderr
    answer = requests.get(f"{cluster.url(EU)}/readyz", timeout=5)
    assert (answer.status_code, answer.json()["removed"]) == (503, True)
    for region in (US, AP):
        told = [line for line in peers(cluster.data_dir / region) if line[1] == keys[0]]
        assert not told or "-" not in told[0]
    cluster.kill(EU)
    shutil.rmtree(cluster.data_dir / EU)
    assert cluster.command("heal").returncode == 0
    cluster.start(EU)


def test_the_only_node_of_a_cluster_is_not_removed(tmp_path):
    with running_node(tmp_path / "us") as only:
        for command in (("remove", US), ("ticket", "--replace", "--region", US)):
            result = run("stsd", "peers", *command, "--data-dir", str(only.data_dir))
            assert (result.returncode, "the only node of this cluster" in result.stderr) == (1, True)
        assert readiness(only)["ready"] is True


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["peers", "list"], "is not a directory of a node or a cluster"),
        (["peers", "remove", "Europe", "--root-key", "KEY"], "is not a region name"),
        (["peers", "remove", EU], "the root key cannot be read"),
        (["peers", "remove", EU, "--root-key", "NOISE"], "not a root key"),
        (["peers", "remove", EU, "--root-key", "KEY"], "is not a directory of a node or a cluster"),
        (["join", "--ticket", "NOISE", "--sponsor", "http://x", "--url", "http://y"], "holds no ticket"),
        (["join", "--ticket", "/none", "--sponsor", "http://x", "--url", "http://y"], "/none cannot be read"),
        (
            ["join", "--ticket", "-", "--sponsor", "x", "--url", "http://y"],
            "--sponsor: 'x' is not an http or https URL",
        ),
        (["join", "--ticket", "-", "--sponsor", "http://x", "--url", "y"], "--url: 'y' is not an http or https URL"),
    ],
)
def test_what_an_operator_can_get_wrong_is_one_line_and_exit_2(tmp_path, arguments, said):
    (tmp_path / "key").write_text("ab" * 32)
    (tmp_path / "noise").write_text("noise")
    names = {"KEY": str(tmp_path / "key"), "NOISE": str(tmp_path / "noise")}
    (tmp_path / "data").mkdir()
    command = [names.get(argument, argument) for argument in arguments]
    result = run("stsd", *command, "--data-dir", str(tmp_path / "data"), input="")
    assert (result.returncode, said in result.stderr) == (2, True), result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_directory_with_something_in_it_does_not_join(tmp_path):
    with running_node(tmp_path / "us") as first:
        text = ticket(first.data_dir)
        (tmp_path / "thesis").mkdir()
        (tmp_path / "thesis" / "thesis.txt").write_text("do not lose this")
        for folder, said in (("thesis", "is not empty (it has thesis.txt)"), ("us", "in use by another node")):
            result = join(text, first.url, tmp_path / folder, "http://127.0.0.1:1")
            assert (result.returncode, said in result.stderr) == (2, True), result.stderr
        assert [path.name for path in (tmp_path / "thesis").iterdir() if path.name != "lock"] == ["thesis.txt"]
        assert len(peers(first.data_dir)) == 1


def test_the_wrong_root_key_signs_nothing_that_counts(tmp_path):
    with two_nodes(tmp_path) as (first, second):
        (tmp_path / "key").write_text("ab" * 32)
        command = ("peers", "remove", EU, "--data-dir", str(first.data_dir), "--root-key", str(tmp_path / "key"))
        result = run("stsd", *command)
        assert (result.returncode, "the root key is not that of this cluster" in result.stderr) == (1, True)
        assert readiness(second)["ready"] is True


def test_a_full_disk_refuses_who_joins_and_nothing_else(tmp_path):
    with running_node(tmp_path / "us") as first:
        text, before = ticket(first.data_dir), peers(first.data_dir)
        full_disk(first)
        refused = join(text, first.url, tmp_path / "eu", "http://127.0.0.1:1")
        assert (refused.returncode, "could not store who joins" in refused.stderr) == (1, True)
        assert peers(first.data_dir) == before
        assert first.sts("admin").get_caller_identity()["Account"]
        full_disk(first, full=False)
        assert join(text, first.url, tmp_path / "eu", "http://127.0.0.1:1").returncode == 0


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a small file system needs root")
def test_a_disk_that_is_really_full_refuses_changes_until_there_is_room(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        with running_node(disk / "data") as node:
            keys = node.keys("admin")
            token = node.sts("admin").get_session_token()["Credentials"]["SessionToken"]
            ballast = disk / "ballast"
            fill(ballast)
            text, statuses = ticket(node.data_dir), []
            while 503 not in statuses[-1:] and len(statuses) < 100:  # what was allocated before still takes some
                statuses.append(revoke(node, keys, subject_of(len(statuses))).status_code)
            assert set(statuses) <= {200, 503}
            assert statuses[-1] == 503
            acknowledged = statuses.count(200)
            refused = join(text, node.url, tmp_path / "eu", "http://127.0.0.1:1")
            assert (refused.returncode, "could not store who joins" in refused.stderr) == (1, True)
            verdict = requests.post(f"{node.url}/v1/verify", json={"token": token}, timeout=5).json()
            assert verdict["active"] is True
            assert node.sts("admin").get_session_token()["Credentials"]
            ballast.unlink()
            assert revoke(node, keys, "ASIARTX3GSDSQZZZZZZZ").status_code == 200
            node.stop(signal.SIGKILL)
        with running_node(disk / "data") as node:
            assert len(revoked(node.url)) == acknowledged + 1
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def fill(file: Path) -> None:
    """Write until the disk is full."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    with contextlib.closing(os.fdopen(descriptor, "wb", buffering=0)) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(1024))
    assert os.statvfs(file.parent).f_bavail == 0


def subject_of(number: int) -> str:
    """A session's access key id, of Acme's account."""
    return "ASIARTX3GSDSQ" + f"{number:07}".translate(str.maketrans("0123456789", "ABCDEFGHIJ"))


def test_nodes_call_each_other_over_tls_with_the_operators_authority_alone(tmp_path):
    certificate_file, key_file = self_signed_certificate(tmp_path)
    certificates = ("--tls-cert", str(certificate_file), "--tls-key", str(key_file))
    (tmp_path / "us").mkdir()
    shutil.copy(certificate_file, tmp_path / "us" / "peer-ca.pem")
    with running_node(tmp_path / "us", "--host", "localhost", *certificates) as first:
        url, port = first.url.replace("127.0.0.1", "localhost"), free_base_port(1)
        text, own = ticket(first.data_dir), f"https://localhost:{port}"
        stranger = join(text, url, tmp_path / "eu", own)
        assert (stranger.returncode, "certificate verify failed" in stranger.stderr) == (1, True)
        result = join(text, url, tmp_path / "eu", own, "--ca", str(certificate_file))
        assert result.returncode == 0, result.stderr
        with running_node(tmp_path / "eu", *certificates, region=EU, port=port):
            command = ("revoke", "access_key_id=ASIARTX3GSDSQAAAAAAA", "--profile", "admin", "--wait", "all")
            environment = first.environment() | {"SSL_CERT_FILE": str(certificate_file)}
            told = json.loads(run("stsd", *command, env=environment).stdout)
            assert (told["confirmed"], told["lagging"]) == ([US, EU], [])
            (tmp_path / "us" / "peer-ca.pem").write_text("no certificate")
    said = run("stsd", "serve", "--data-dir", str(tmp_path / "us"), "--port", "0", *certificates)
    assert (said.returncode, "peer-ca.pem: no certificates of authorities" in said.stderr) == (2, True)


def test_a_region_whose_folder_was_emptied_joins_again_under_load(cluster):
    keys, acknowledged = cluster.keys("admin"), []

    def revoke_on(number: int) -> None:
        region = (US, AP)[number % 2]
        subject = subject_of(number)
        if post_signed(cluster.url(region), "/v1/revocations", {"access_key_id": subject}, keys, region).ok:
            acknowledged.append(subject)

    told = post_signed(cluster.url(EU), "/v1/revocations", {"access_key_id": "ASIARTX3GSDSQZZZZZZZ"}, keys, EU).json()
    assert told["copies"] >= 2
    cluster.kill(EU)
    shutil.rmtree(cluster.data_dir / EU)
    with ThreadPoolExecutor(4) as pool:
        load = pool.map(revoke_on, range(150))
        cluster.start(EU)
        list(load)
    assert len(acknowledged) == 150
    before = json.loads(requests.get(f"{cluster.url(EU)}/readyz", timeout=5).text)
    assert before["joined"] is True
    wait_for(lambda: {*acknowledged, "ASIARTX3GSDSQZZZZZZZ"} <= revoked(cluster.url(EU)), "what was acknowledged", 10)
    assert EU in [line[0] for line in peers(cluster.data_dir)]
