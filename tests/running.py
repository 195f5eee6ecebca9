"""A node or a cluster in real processes, as a user starts them, for tests that need the real thing."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import requests
from botocore.config import Config
from botocore.session import Session as BotocoreSession
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from cluster import disturb
from cluster.data_dir import find as find_cluster
from stsd.authn import sigv4

ROOT = Path(__file__).parent.parent
START_TIMEOUT_S = 60


def free_base_port(count: int = 64) -> int:
    """A port from which on `count` ports are free; test processes that run side by side look in different places."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for base in range(20_000 + worker * 4_000 + os.getppid() % 25 * 160, 60_000, count):
        if all(_is_free(port) for port in range(base, base + count)):
            return base
    raise RuntimeError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def wait_for(condition: Any, what: str, timeout_s: float = START_TIMEOUT_S) -> Any:
    """The first true value of `condition`; fails after `timeout_s` seconds."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        try:
            if value := condition():
                return value
        except (OSError, ValueError):
            pass
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {timeout_s} s")


def run(*arguments: str, timeout_s: float = START_TIMEOUT_S, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a module of the project to its end."""
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, **options
    )


@dataclass
class Files:
    """The AWS files of a data directory, and clients that use nothing else."""

    data_dir: Path

    def environment(self) -> dict[str, str]:
        """What an SDK or CLI needs."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return clean | {
            "AWS_CONFIG_FILE": str(self.data_dir / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.data_dir / "credentials"),
            "HOME": str(self.data_dir.parent),  # the aws command line caches role credentials below it
        }

    def session(self, profile: str) -> boto3.Session:
        """A boto3 session of a profile."""
        core = BotocoreSession(profile=profile)
        core.set_config_variable("config_file", str(self.data_dir / "config"))
        core.set_config_variable("credentials_file", str(self.data_dir / "credentials"))
        return boto3.Session(botocore_session=core)

    def sts(self, profile: str, **options: Any) -> Any:
        """An STS client of a profile; `options` as for boto3."""
        return self.session(profile).client("sts", config=NO_RETRIES, **options)

    def keys(self, profile: str) -> dict[str, str]:
        """Signing keywords of a profile."""
        found = self.session(profile).get_credentials().get_frozen_credentials()
        return {"access_key_id": found.access_key, "secret_access_key": found.secret_key}


NO_RETRIES = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=10)


def sts_with(credentials: dict[str, Any], url: str, region: str) -> Any:
    """An STS client with the `Credentials` of an answer."""
    return boto3.client(
        "sts",
        region_name=region,
        endpoint_url=url,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        config=NO_RETRIES,
    )


def post_signed(
    url: str, path: str, content: Any, keys: dict[str, Any], region: str, service: str = "sts"
) -> requests.Response:
    """POST JSON, signed with our own signer."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    headers = {"Host": url.partition("://")[2], "Content-Type": "application/json"}
    signed = sigv4.sign(
        "POST", path, "", headers, body, region=region, service=service, session_token=keys.get("session_token"),
        access_key_id=keys["access_key_id"], secret_access_key=keys["secret_access_key"],
        amz_date=time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
    )  # fmt: skip
    return requests.post(url + path, body, headers=headers | signed, timeout=10)


def signing(credentials: dict[str, Any]) -> dict[str, Any]:
    """`Credentials` of an answer as signing keywords."""
    return {
        "access_key_id": credentials["AccessKeyId"],
        "secret_access_key": credentials["SecretAccessKey"],
        "session_token": credentials["SessionToken"],
    }


@dataclass
class RunningNode(Files):
    """`stsd serve` in a process of its own."""

    process: subprocess.Popen[str]
    url: str
    region: str = "us-east-1"

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=20)


WITH_LIMITS = """
import functools
from stsd import __main__, app
from stsd.revocation.staleness import Limits
app.run = functools.partial(app.run, limits=Limits({0}, {1}))
__main__.main()
"""


@contextmanager
def running_node(
    data_dir: Path,
    *flags: str,
    region: str = "us-east-1",
    port: int | None = None,
    limits: tuple[float, float] | None = None,
) -> Iterator[RunningNode]:
    """A node, by default on a free port, ready; with `limits` it is stale after so many seconds, soft and hard."""
    port = port or free_base_port(1)
    scheme = "https" if "--tls-cert" in flags else "http"
    command = [
        sys.executable,
        *(("-m", "stsd") if limits is None else ("-c", WITH_LIMITS.format(*limits))),
        "serve",
        "--port",
        str(port),
        "--data-dir",
        str(data_dir),
        "--region",
        region,
    ]
    log = data_dir.parent / f"{data_dir.name}.log"
    with log.open("w") as output:
        process = subprocess.Popen([*command, *flags], cwd=ROOT, stdout=output, stderr=output, text=True)
    node = RunningNode(data_dir, process, f"{scheme}://127.0.0.1:{port}", region)
    try:
        wait_for(lambda: " ready on " in log.read_text() or process.poll() is not None, "the node's start")
        assert process.poll() is None, log.read_text()
        yield node
    finally:
        node.stop(signal.SIGKILL)


def full_disk(node: RunningNode, *, full: bool = True) -> None:
    """No file of the process may grow: what a full disk does, for one process."""
    soft = 0 if full else resource.RLIM_INFINITY
    resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))


def no_file_beyond(size: int) -> Callable[[], None]:
    """For a process that is about to start: none of its files may have more bytes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def ticket(data_dir: Path, region: str = "eu-west-1", *flags: str) -> str:
    """A ticket from the operator's hand."""
    result = run("stsd", "peers", "ticket", "--region", region, "--data-dir", str(data_dir), *flags)
    assert result.returncode == 0, result.stderr
    return result.stdout


def join(text: str, sponsor: str, data_dir: Path, url: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """`stsd join`, the ticket through a pipe."""
    where = ("--sponsor", sponsor, "--url", url, "--data-dir", str(data_dir))
    return run("stsd", "join", "--ticket", "-", *where, *flags, input=text)


@dataclass
class RunningCluster(Files):
    """`python -m cluster up` in a process of its own."""

    process: subprocess.Popen[str]
    base_port: int
    output: Path
    killed: set[str] = field(default_factory=set)

    @property
    def info(self) -> dict[str, Any]:
        """`cluster.json`."""
        content: dict[str, Any] = json.loads((self.data_dir / "cluster.json").read_text())
        return content

    @property
    def regions(self) -> list[str]:
        """The topology's regions, in order."""
        return list(self.info["regions"])

    def url(self, region: str = "global") -> str:
        """A region's URL, or the router's."""
        info = self.info
        url: str = info["router"]["url"] if region == "global" else info["regions"][region]["url"]
        return url

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python -m cluster …` on this cluster."""
        return run("cluster", *arguments, "--data-dir", str(self.data_dir))

    def kill(self, region: str) -> None:
        """kill -9 a region's node."""
        assert self.command("kill", region).returncode == 0
        self.killed.add(region)

    def start(self, region: str) -> None:
        """Start it again and wait until it is ready."""
        result = self.command("start", region)
        assert result.returncode == 0, result.stderr
        self.killed.discard(region)

    def hook(self, name: str, content: dict[str, Any] | None = None) -> dict[str, Any]:
        """A test hook on the router."""
        answer = requests.post(f"{self.url()}/_test/{name}", json=content or {}, timeout=10)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def restore(self) -> None:
        """As it was: every node up, real time, nothing revoked."""
        for region in tuple(self.killed):
            self.start(region)
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:  # a test's own loop stays the current one
            runner.run(disturb.heal(find_cluster(self.data_dir)))
        self.hook("reset")

    def stop(self) -> int:
        """Ctrl-C; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=30)


@contextmanager
def running_cluster(data_dir: Path, *flags: str, ports: int = 64) -> Iterator[RunningCluster]:
    """Three regions and the router, ready; other topologies may need more `ports`."""
    base_port = free_base_port(ports)
    output = data_dir.parent / f"{data_dir.name}.out"
    command = [
        sys.executable,
        "-m",
        "cluster",
        "up",
        "--base-port",
        str(base_port),
        "--data-dir",
        str(data_dir),
        *flags,
    ]
    with output.open("w") as stream:
        process = subprocess.Popen(command, cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT, text=True)
    cluster = RunningCluster(data_dir, process, base_port, output)
    try:

        def is_up() -> bool:
            assert process.poll() is None, output.read_text()
            urls = (cluster.url(), *map(cluster.url, cluster.regions))
            links = (data_dir / "run" / "links-faults.sock").exists()
            return links and all(requests.get(f"{url}/readyz", timeout=2).status_code == 200 for url in urls)

        wait_for(is_up, "the cluster's start")
        yield cluster
    finally:
        if cluster.stop() != 0:
            process.kill()


def self_signed_certificate(folder: Path, *, rsa_key: bool = False) -> tuple[Path, Path]:
    """A self-signed certificate of localhost, and its key."""
    key = rsa.generate_private_key(65_537, 2048) if rsa_key else ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "cert.pem", folder / "key.pem"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
    return certificate_file, key_file
