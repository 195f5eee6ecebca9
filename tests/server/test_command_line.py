"""`stsd` as a user calls it: what works, and one clear line with exit 2 for what does not."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from tests.running import (
    ROOT,
    free_base_port,
    full_disk,
    no_file_beyond,
    post_signed,
    run,
    running_node,
    self_signed_certificate,
)

pytestmark = pytest.mark.processes


def refused(*arguments: str, **options) -> str:
    """The one line of a call that exits 2."""
    result = run("stsd", *arguments, **options)
    assert result.returncode == 2, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr


def test_a_node_with_no_state_makes_its_own_private_files(tmp_path):
    with running_node(tmp_path / "data") as node:
        assert node.sts("admin").get_caller_identity()["Account"] == "111122223333"
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "data").iterdir()}
        assert {"credentials", "config", "cluster.key", "journal.db", "operator.sock"} <= set(modes)
        assert set(modes.values()) == {0o600}


def test_a_node_continues_from_its_state(tmp_path):
    with running_node(tmp_path / "data") as node:
        credentials = node.sts("admin").get_session_token()["Credentials"]
        keys = node.keys("admin")
        revoked = post_signed(node.url, "/v1/revocations", {"token": credentials["SessionToken"]}, keys, "us-east-1")
        assert revoked.json()["copies"] == 1
        assert node.stop() == 0
    with running_node(tmp_path / "data") as node:
        assert node.keys("admin") == keys
        answer = requests.post(f"{node.url}/v1/verify", json={"token": credentials["SessionToken"]}, timeout=5)
        assert answer.json() == {"active": False, "reason": "revoked"}


def test_a_node_of_another_region_serves_its_own_profiles(tmp_path):
    with running_node(tmp_path / "data", region="eu-west-1") as node:
        for profile in ("admin", "admin@eu-west-1", "globex-vendor-audit"):
            assert node.sts(profile).get_caller_identity()["Account"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--region", "Europe"], "--region: 'Europe' is not a region name"),
        (["--peer", "eu-west-1"], "--peer: 'eu-west-1' is not REGION=URL"),
        (["--peer", "us-east-1=http://x"], "is given twice or is this node's own"),
        (["--issuer", "ftp://x"], "--issuer: 'ftp://x' is not an http or https URL"),
        (
            ["--backbone", "127.0.0.1:4222"],
            "--backbone: each server is nats://HOST:PORT or tls://HOST:PORT; example: nats",
        ),
        (["--backbone", "nats://127.0.0.1:1,"], "--backbone: each server is nats://HOST:PORT"),
        (["--backbone", "nats://u:p@127.0.0.1:1"], "--backbone: no user and no password"),
        (["--backbone", "nats://10.0.0.1:4222"], "--backbone: 10.0.0.1 is not on this machine: use tls://"),
        (["--metrics-listen", "9100"], "--metrics-listen: '9100' is not HOST:PORT"),
        (["--metrics-listen", "127.0.0.1:²"], "--metrics-listen: '127.0.0.1:²' is not HOST:PORT"),
        (["--host", "a..b"], "--host: 'a..b' is not a host name or an address"),
        (["--tls-cert", "/none"], "--tls-cert and --tls-key: give both or neither"),
        (
            ["--tls-cert", "/none", "--tls-key", "/none"],
            "--tls-cert, --tls-key: no certificate and key in /none and",
        ),
        (["--cluster-key", "/none"], "--cluster-key: /none cannot be read"),
        (["--world", "/none"], "--world: /none cannot be read"),
        (["--resource-server-keys", "/none"], "--resource-server-keys: /none cannot be read"),
        (["--unsafe-test-hooks", "--host", "0.0.0.0"], "--unsafe-test-hooks: only with a loopback --host"),
        (["--peer", "eu-west-1=http://127.0.0.1:1"], "a node with peers needs its cluster's state"),
        (["--port", "99999"], "99999 is not in the range"),
        (["--workers", "2"], "No such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_settings_are_refused_with_what_to_do(tmp_path, flags, said):
    assert said in refused("serve", "--data-dir", str(tmp_path / "data"), *flags)


@pytest.mark.parametrize("verb", ["promote", "lint", "explain"])
def test_verbs_of_later_stages_are_absent(verb):
    assert f"No such command '{verb}'" in refused(verb)


def test_a_port_in_use_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused("serve", "--data-dir", str(tmp_path / "data"), "--port", str(port))
    assert f"--port: cannot listen on 127.0.0.1 port {port}" in said


def test_a_host_that_does_not_resolve_is_blamed_on_the_host(tmp_path):
    said = refused("serve", "--data-dir", str(tmp_path / "data"), "--host", "no-such-host.invalid", "--port", "0")
    assert "--host: no-such-host.invalid" in said
    assert "--port" not in said


def test_a_directory_of_something_else_is_not_touched(tmp_path):
    (tmp_path / "thesis.txt").write_text("do not lose this")
    assert "not empty and not a node's data directory" in refused("serve", "--data-dir", str(tmp_path))
    assert (tmp_path / "thesis.txt").read_text() == "do not lose this"
    assert not (tmp_path / "cluster.key").exists()


def test_a_directory_in_use_is_refused(tmp_path):
    with running_node(tmp_path / "data"):
        assert "is in use by another node" in refused("serve", "--data-dir", str(tmp_path / "data"), "--port", "0")


def test_state_under_another_cluster_key_is_refused(tmp_path):
    with running_node(tmp_path / "data"):
        pass
    (tmp_path / "data" / "cluster.key").write_text("ab" * 32)
    assert "does not open" in refused("serve", "--data-dir", str(tmp_path / "data"), "--port", "0")


def test_a_damaged_cluster_key_is_refused(tmp_path):
    with running_node(tmp_path / "data"):
        pass
    (tmp_path / "data" / "cluster.key").write_text("not hexadecimal")
    assert "not a cluster key" in refused("serve", "--data-dir", str(tmp_path / "data"), "--port", "0")


def test_another_world_is_refused_for_existing_state_and_the_same_is_not(tmp_path):
    world = tmp_path / "world.json"
    world.write_text('{"Accounts": [{"Id": "111122223333"}]}')
    with running_node(tmp_path / "data", "--world", str(world)) as node:
        assert node.sts("admin").get_caller_identity()["Arn"] == "arn:aws:iam::111122223333:user/admin"
    with running_node(tmp_path / "data", "--world", str(world)):
        pass
    world.write_text('{"Accounts": [{"Id": "444455556666"}]}')
    said = refused("serve", "--data-dir", str(tmp_path / "data"), "--world", str(world), "--port", "0")
    assert "was made from another world" in said


def test_a_wrong_world_is_refused_with_a_line_per_fault_and_nothing_is_made(tmp_path):
    world = tmp_path / "world.json"
    world.write_text('{"Accounts": [{"Id": "12", "EnabledRegions": ["eu-west-1"]}], "Organization": {}}')
    said = refused("serve", "--data-dir", str(tmp_path / "data"), "--world", str(world), "--port", "0")
    lines = said.splitlines()
    assert all(line.startswith(f"stsd: --world {world}: ") for line in lines)
    assert any("Accounts[0].Id" in line for line in lines)
    assert any("Accounts[0].EnabledRegions[0]" in line and "is no opt-in region" in line for line in lines)
    assert any("Organization.ManagementAccount" in line for line in lines)
    assert not (tmp_path / "data" / "cluster.key").exists()


def test_a_world_that_is_not_utf_8_is_refused(tmp_path):
    world = tmp_path / "world.yaml"
    world.write_bytes(b'Accounts: [{Id: "111122223333", Email: "J\xf6rg@acme.example"}]\n')
    said = refused("serve", "--data-dir", str(tmp_path / "data"), "--world", str(world))
    assert f"--world: {world} is not text in UTF-8: see its byte 42" in said


def test_a_journal_of_something_else_is_refused(tmp_path):
    with running_node(tmp_path / "data"):
        pass
    for file in (tmp_path / "data").glob("journal.db*"):
        file.unlink()
    (tmp_path / "data" / "journal.db").write_bytes(b"no database at all, but quite some text" * 40)
    assert "not a readable journal" in refused("serve", "--data-dir", str(tmp_path / "data"), "--port", "0")


def test_a_disk_that_takes_nothing_is_named_and_the_next_start_finds_nothing_half_done(tmp_path):
    serve = ("serve", "--data-dir", str(tmp_path / "data"), "--port", "0")
    said = refused(*serve, preexec_fn=no_file_beyond(0))
    assert said == f"stsd: --data-dir: {tmp_path / 'data' / 'cluster.key'} cannot be written: File too large\n"
    with running_node(tmp_path / "data"):
        pass


@pytest.mark.parametrize("room", [8_192, 16_384, 24_576, 28_672, 32_768])
def test_a_disk_without_room_for_a_journal_is_one_line_that_asks_for_room(tmp_path, room):
    said = refused("serve", "--data-dir", str(tmp_path / "data"), "--port", "0", preexec_fn=no_file_beyond(room))
    assert re.fullmatch(r"stsd: \S+journal.db: .*; make room on the disk, or mend it.*\n", said)


def test_a_whole_journal_on_a_disk_that_takes_nothing_is_not_called_damaged(tmp_path):
    with running_node(tmp_path / "data"):
        pass
    said = refused("serve", "--data-dir", str(tmp_path / "data"), "--port", "0", preexec_fn=no_file_beyond(0))
    assert "make room on the disk, or mend it: the journal may be whole" in said
    assert len(said.splitlines()) == 1


def test_revoke_signs_with_a_profile(node):
    credentials = node.sts("admin").get_session_token()["Credentials"]
    subject = f"access_key_id={credentials['AccessKeyId']}"
    result = run("stsd", "revoke", subject, "--profile", "admin", "--reason", "test", env=node.environment())
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["sequence"] >= 1
    answer = requests.post(f"{node.url}/v1/verify", json={"token": credentials["SessionToken"]}, timeout=5)
    assert answer.json()["reason"] == "revoked"


def test_revoke_reads_a_token_from_standard_input(node):
    token = node.sts("admin").get_session_token()["Credentials"]["SessionToken"]
    result = run("stsd", "revoke", "token=-", "--profile", "admin", env=node.environment(), input=token)
    assert result.returncode == 0, result.stderr


def test_a_refused_revocation_exits_1_with_the_reason(node):
    result = run("stsd", "revoke", "account_id=444455556666", "--profile", "admin", env=node.environment())
    assert result.returncode == 1
    assert "AccessDenied: User: arn:aws:iam::111122223333:user/alice is not authorized" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["colour=red", "--profile", "admin"], "'colour' is not a subject"),
        (["account_id=111122223333", "--profile", "nobody"], "--profile: nobody has no aws_access_key_id"),
        (["account_id=111122223333", "--profile", "admin", "--endpoint-url", "x"], "--endpoint-url"),
        (["account_id=111122223333", "--profile", "admin", "--endpoint-url", "http://["], "--endpoint-url"),
        (["account_id=111122223333", "--profile", "admin", "--endpoint-url", "http://x:y"], "--endpoint-url"),
        ([b"token=\xff", "--profile", "admin"], "token: only text in UTF-8 can be sent"),
        (["account_id=111122223333", "--profile", "admin", "--wait", "some"], "--wait"),
        (["account_id=111122223333", "--profile", "admin", "--wait", "all", "--timeout-s", "31"], "--timeout-s"),
        (["account_id=111122223333", "--profile", "admin", "--wait", "all", "--timeout-s", "soon"], "--timeout-s"),
        (["account_id=111122223333", "--profile", "admin", "--timeout-s", "2"], "--timeout-s: goes with --wait all"),
    ],
)
def test_a_wrong_revoke_exits_2(node, arguments, said):
    result = run("stsd", "revoke", *arguments, env=node.environment())
    assert result.returncode == 2
    assert said in result.stderr


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "HTTP 302"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "not like a node: nothing is known to be revoked"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "not like a node: nothing is known to be revoked"),
        (b"nonsense\r\n\r\n", "does not answer in HTTP: BadStatusLine"),
    ],
    ids=["redirect", "page", "other json", "no http"],
)
def test_revoke_says_no_when_something_else_than_a_node_answers(node, answer, said):
    with answering(answer) as url:
        subject, flags = "account_id=111122223333", ("--profile", "admin", "--endpoint-url", url)
        result = run("stsd", "revoke", subject, *flags, env=node.environment())
    assert (result.returncode, result.stdout) == (1, "")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that gives one answer to one request."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def test_keys_list_asks_the_running_node(node):
    result = run("stsd", "keys", "list", "--data-dir", str(node.data_dir))
    assert result.returncode == 0, result.stderr
    assert re.search(r"^\S{16}\s+active\s", result.stdout, re.MULTILINE)
    assert re.search(r"^\S{16}\s+prepared\s", result.stdout, re.MULTILINE)


def test_keys_list_without_a_running_node_exits_1(tmp_path):
    with running_node(tmp_path / "data"):
        pass
    (tmp_path / "data" / "operator.sock").unlink(missing_ok=True)
    result = run("stsd", "keys", "list", "--data-dir", str(tmp_path / "data"))
    assert result.returncode == 1
    assert "no node is running here" in result.stderr


def test_keys_list_of_something_else_exits_2(tmp_path):
    assert "is not a directory of a node or a cluster" in refused("keys", "list", "--data-dir", str(tmp_path))


VERBS = ("serve", "revoke", "join", "keys list", "peers list", "peers ticket", "peers remove")


@pytest.mark.parametrize("arguments", ["", "keys", "peers", *VERBS])
def test_every_verb_has_help_with_an_example(arguments):
    result = run("stsd", *arguments.split(), "--help")
    assert result.returncode == 0
    if arguments in VERBS:
        assert "Example: stsd " in result.stdout


def test_tls_makes_secure_transport_true(tmp_path):
    certificate, key = self_signed_certificate(tmp_path)
    world = tmp_path / "world.json"
    secure = {"Effect": "Allow", "Action": "sts:*", "Resource": "*",
              "Condition": {"Bool": {"aws:SecureTransport": "true"}}}  # fmt: skip
    user = {"UserName": "ann", "Policies": {"tls": {"Version": "2012-10-17", "Statement": [secure]}}}
    world.write_text(json.dumps({"Accounts": [{"Id": "111122223333", "Users": [user]}]}))
    ask = {"AccessKeyId": "ASIARTX3GSDSQAAAAAAA"}
    with running_node(tmp_path / "a", "--world", str(world)) as plain:
        client = plain.sts("111122223333-ann")
        with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
            client.get_access_key_info(**ask)
    flags = ("--world", str(world), "--tls-cert", str(certificate), "--tls-key", str(key))
    with running_node(tmp_path / "b", *flags) as tls:
        url = tls.url.replace("127.0.0.1", "localhost")
        client = tls.sts("111122223333-ann", endpoint_url=url, verify=str(certificate))
        assert client.get_access_key_info(**ask)["Account"] == "111122223333"


def test_verifiers_off_loopback_need_a_key_file_that_is_private(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("a-key-of-a-resource-server\n")
    keys.chmod(0o644)
    flags = ("serve", "--data-dir", str(tmp_path / "data"), "--resource-server-keys", str(keys))
    assert "chmod 600" in refused(*flags)
    keys.chmod(0o600)
    keys.write_text("short\n")
    assert "at least 16 ASCII characters" in refused(*flags)


def test_metrics_are_served_on_an_address_of_their_own(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with running_node(tmp_path / "data", "--metrics-listen", f"127.0.0.1:{port}") as node:
        node.sts("admin").get_caller_identity()
        exposition = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
        assert 'stsd_requests_total{code="OK",operation="GetCallerIdentity"} 1.0' in exposition
        for name in ("stsd_request_seconds_bucket", "stsd_staleness_seconds", "stsd_token_key_age_seconds"):
            assert name in exposition
        other = requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5)
        assert other.status_code == 404
        assert len(other.headers["x-amzn-RequestId"]) == 36


def test_a_journal_that_cannot_be_written_refuses_changes_and_nothing_else(tmp_path):
    with running_node(tmp_path / "data") as node:
        credentials = node.sts("admin").get_session_token()["Credentials"]
        subject, keys = {"token": credentials["SessionToken"]}, node.keys("admin")
        full_disk(node)
        answer = post_signed(node.url, "/v1/revocations", subject, keys, "us-east-1")
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "ServiceUnavailable"
        assert answer.headers["Retry-After"] == "1"
        verified = requests.post(f"{node.url}/v1/verify", json=subject, timeout=5).json()
        assert verified["active"] is True
        assert node.sts("admin").get_session_token()["Credentials"]
        full_disk(node, full=False)
        assert post_signed(node.url, "/v1/revocations", subject, keys, "us-east-1").status_code == 200
        assert requests.post(f"{node.url}/v1/verify", json=subject, timeout=5).json()["reason"] == "revoked"


def test_a_directory_of_another_region_is_refused(tmp_path):
    with running_node(tmp_path / "data"):
        pass
    said = refused("serve", "--data-dir", str(tmp_path / "data"), "--region", "eu-west-1", "--port", "0")
    assert said == "stsd: --region: the data directory is of region us-east-1, not eu-west-1\n"


def test_a_wrong_flag_is_one_line(tmp_path):
    assert refused("serve", "--workers", "2") == "stsd: No such option '--workers'. Did you mean '--world'?\n"


def test_a_node_stops_on_a_signal_and_finishes_what_it_answers(tmp_path):
    with running_node(tmp_path / "data") as node:
        assert requests.get(f"{node.url}/readyz", timeout=5).json()["ready"] is True
        assert node.stop(signal.SIGTERM) == 0
        assert not (node.data_dir / "operator.sock").exists()


def test_nothing_secret_is_logged_or_readable_in_the_state(tmp_path):
    with running_node(tmp_path / "data", "--log-format", "json") as node:
        keys = node.keys("admin")
        credentials = node.sts("globex-vendor-audit").meta and node.sts("admin").get_session_token()["Credentials"]
        post_signed(node.url, "/v1/revocations", {"token": credentials["SessionToken"]}, keys, "us-east-1")
        node.stop()
    log = (tmp_path / "data.log").read_text()
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert {"GetSessionToken", "Revoke"} <= {event.get("operation") for event in events}
    (revoke,) = [event for event in events if event.get("operation") == "Revoke"]
    assert revoke["principal"] == "arn:aws:iam::111122223333:user/alice"
    assert revoke["subject"] == credentials["AccessKeyId"]
    for secret in (keys["secret_access_key"], credentials["SecretAccessKey"], credentials["SessionToken"]):
        assert secret not in log
        for path in (tmp_path / "data").iterdir():
            if path.name != "credentials":
                assert secret.encode() not in path.read_bytes()


def test_the_journal_is_synced_on_every_commit(tmp_path):
    with running_node(tmp_path / "data"):
        pass
    with sqlite3.connect(tmp_path / "data" / "journal.db") as journal:
        assert journal.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    journal.close()


def test_the_wheel_holds_only_stsd_and_serves_alone(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert {name.split("/")[0] for name in names} - {n.split("/")[0] for n in names if ".dist-info/" in n} == {
            "stsd"
        }
        assert {"stsd/world/schema.json", "stsd/world/default.yaml", "stsd/server/schema.sql"} <= set(names)
        archive.extractall(tmp_path / "site")
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); import stsd.__main__ as m; print(m.__file__); m.main()"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-u", "-c", code, str(tmp_path / "site"), "serve", "--port", str(free_base_port(1))]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert str(tmp_path / "site") in process.stdout.readline()
        assert " ready on http://127.0.0.1:" in process.stdout.readline()
        assert process.stdout.readline().startswith("try: ")  # whoever closes the pipe earlier breaks it
        process.terminate()
    assert process.returncode == 0


def test_a_backbone_without_its_library_exits_2_with_what_to_install(tmp_path):
    hidden = "import sys; sys.modules['nats'] = None; from stsd.__main__ import main; main()"
    arguments = ["serve", "--port", "0", "--data-dir", str(tmp_path / "data"), "--backbone", "nats://127.0.0.1:1"]
    result = subprocess.run(
        [sys.executable, "-c", hidden, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert (result.returncode, result.stderr) == (
        2, "stsd: --backbone: nats is not installed: pip install 'stsd[nats]'\n"
    )  # fmt: skip


def test_a_node_is_ready_without_its_broker(tmp_path):
    with running_node(tmp_path / "data", "--backbone", "nats://127.0.0.1:1") as node:
        assert requests.get(f"{node.url}/readyz", timeout=5).json()["ready"] is True
        keys = node.keys("admin")
        session = node.sts("admin").get_session_token()["Credentials"]
        revoked = post_signed(node.url, "/v1/revocations", {"token": session["SessionToken"]}, keys, "us-east-1")
        assert revoked.json()["copies"] == 1
        assert 'stsd_backbone_up{backbone="nats"} 0.0' in requests.get(f"{node.url}/metrics", timeout=5).text
