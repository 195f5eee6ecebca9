"""docs/nats.md across machines: its certificates and its TLS, with every region's servers on one machine."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from cluster import brokers
from stsd.nats_user import User
from stsd.server.backbone import BackboneUnavailable
from stsd.server.backbone.nats.connection import Connection
from tests.backbone import regions
from tests.backbone.regions import Region, World
from tests.running import ROOT

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module")]
HOME, EUROPE = "us-east-1", "eu-west-1"
TEXT = (ROOT / "docs" / "nats.md").read_text()
AUTHORITY = "SSL_CERT_FILE"


def recipe(beginning: str) -> str:
    """The one block of the page that begins so, as it stands there in a numbered list."""
    [found] = re.findall(rf"^   ```(?:sh)?\n(   {re.escape(beginning)}.*?)^   ```$", TEXT, re.DOTALL | re.MULTILINE)
    return re.sub(r"^   ", "", found, flags=re.MULTILINE)


def certificates(folder: Path) -> None:
    """An authority and a certificate by the page's commands, for the addresses of this machine."""
    names = "DNS:core.us-east-1.example.com,DNS:jetstream.us-east-1.example.com"
    commands = recipe("openssl req -x509")
    assert names in commands
    script = f"set -euo pipefail\n{commands.replace(names, 'IP:127.0.0.1')}"
    subprocess.run(["bash", "-c", script], cwd=folder, check=True, capture_output=True)


def with_tls(file: Path, folder: Path) -> None:
    """A server's file, changed as the page says."""
    clients = recipe("tls { cert_file").strip().replace("/etc/stsd/tls", str(folder))
    servers = clients.replace(" }", ", verify: true }")
    content = file.read_text()
    for section in ("leafnodes", "gateway") if file.stem == "core" else ():
        content, changed = re.subn(rf"^{section} {{$", f"{section} {{\n  {servers}", content, flags=re.MULTILINE)
        assert changed == 1
    content = content.replace("nats-leaf://", "tls://").replace(
        "account: STSD }\n  ]", f"account: STSD, {clients} }}\n  ]"
    )
    file.write_text(f"{clients}\n{content}")


class TlsRegion(Region):
    @property
    def brokers(self) -> list[str]:
        return [url.replace("nats://", "tls://") for url in super().brokers]


class TlsWorld(World):
    """Every connection to and between servers is TLS."""

    def __init__(self, path: Path, engine: str) -> None:
        super().__init__(path, engine)
        self.regions = {name: TlsRegion(name, self.data) for name in self.regions}
        self.certificates = path.parent / "tls"
        self.certificates.mkdir()
        certificates(self.certificates)

    async def start_server(self, name: str) -> None:
        with_tls(brokers.config_file(self.data, name), self.certificates)
        await super().start_server(name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TlsWorld]:
    assert shutil.which("openssl"), "openssl is not installed"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(brokers.PROGRAM, str(regions.ENGINES["nats-current"]))
        brokers.program.cache_clear()
        made = TlsWorld(tmp_path_factory.mktemp("tls") / "data", "nats-current")
        patch.setenv(AUTHORITY, str(made.certificates / "ca.pem"))
        try:
            await made.start()
            yield made
        finally:
            await made.stop()
    brokers.program.cache_clear()


async def opened(region: Region) -> Connection:
    return await Connection.open(region.brokers[0], region.name, User.of(region.signer), lambda _: None)


async def test_regions_replicate_over_tls_between_servers_and_to_them(world):
    home, europe = world.regions[HOME], world.regions[EUROPE]
    assert (await home.revoke(20)).lagging == ()
    assert (await europe.revoke(20)).lagging == ()
    await home.replicator.snapshots.put()
    assert await home.backbone.snapshot_get()
    assert home.backbone.state().up


async def test_a_connection_is_tls_1_3(world):
    connection = await opened(world.regions[HOME])
    try:
        assert connection.client._server_info["tls_required"]
        assert connection.client._transport._io_writer.get_extra_info("ssl_object").version() == "TLSv1.3"
    finally:
        await connection.close()


async def test_a_server_of_another_authority_is_not_believed(world, monkeypatch, tmp_path):
    certificates(tmp_path)
    monkeypatch.setenv(AUTHORITY, str(tmp_path / "ca.pem"))
    with pytest.raises(BackboneUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await opened(world.regions[HOME])


async def test_a_gateway_without_a_certificate_of_the_authority_is_not_let_in(world, tmp_path):
    """A server with the gateway's password, and a certificate that somebody else made."""
    certificates(tmp_path)
    await world.kill_server(f"core-{EUROPE}")
    file = brokers.config_file(world.data, f"core-{EUROPE}")
    right = file.read_text()
    try:
        file.write_text(right.replace(str(world.certificates), str(tmp_path)))
        await World.start_server(world, f"core-{EUROPE}")
        said = world.data.log(f"core-{HOME}")
        await regions.eventually(lambda: "unknown authority" in said.read_text(), "a refusal of the gateway")
        assert (await world.regions[HOME].revoke(0.5)).lagging == (EUROPE,)
    finally:
        await world.kill_server(f"core-{EUROPE}")
        file.write_text(right)
        await World.start_server(world, f"core-{EUROPE}")
    await world.level()
