"""What is particular to NATS: servers that lie, lose their disk or stop bringing, and users that want too much."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from stsd import nats_layout
from stsd.nats_user import User
from stsd.revocation import codec
from stsd.revocation.messages import Delta
from stsd.server.backbone import BackboneUnavailable, absences
from stsd.server.backbone.nats import streams
from stsd.server.backbone.nats.connection import Connection
from tests.backbone.regions import Region, World, eventually
from tests.cluster import fake_regions

pytestmark = [
    pytest.mark.processes,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("world", ["nats-current"], indirect=True, scope="module"),
]
HOME, EUROPE, ASIA = "us-east-1", "eu-west-1", "ap-southeast-1"


class Intruder:
    """Somebody who has the key of a region's user, as a broker that was taken over has its rights."""

    def __init__(self, world: World, region: str) -> None:
        self.cluster = nats_layout.cluster_name(world.data.read_key())
        self.url, self.region = world.data.url(f"jetstream-{region}"), region
        self.user = User.of(world.regions[region].signer)
        self.faults: list[str] = []

    async def __aenter__(self) -> Intruder:
        self.connection = await Connection.open(
            self.url, self.region, self.user, lambda error: self.faults.append(str(error))
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.connection.close()


def state(region: Region) -> tuple[object, ...]:
    replica = region.view.replica
    return region.heads(), len(region.view.revocations), replica.forks(), len(list(replica.seen()))


async def test_a_user_publishes_in_its_own_name_only_and_deletes_nothing(world):
    other = world.regions[EUROPE].view.replica.origin
    before = state(world.regions[EUROPE])
    async with Intruder(world, HOME) as intruder:
        for subject in (
            nats_layout.batch_subject(intruder.cluster, other),
            nats_layout.heartbeat_subject(intruder.cluster, other),
            nats_layout.letter_subject(intruder.cluster, ASIA, EUROPE),
            "$JS.API.STREAM.PURGE.REV_us-east-1",
            "$JS.API.STREAM.DELETE.REV_us-east-1",
            "$JS.API.STREAM.MSG.DELETE.REV_us-east-1",
            "$JS.eu-west-1.API.STREAM.CREATE.REV_eu-west-1",
            "$JS.eu-west-1.API.STREAM.DELETE.ALL_eu-west-1",
        ):
            await intruder.connection.publish(subject, b"{}")
            await eventually(lambda subject=subject: any(subject.lower() in each for each in intruder.faults), subject)
    assert state(world.regions[EUROPE]) == before


async def test_what_a_broker_forges_or_spoils_changes_nothing_and_is_counted(world):
    home, europe = world.regions[HOME], world.regions[EUROPE]
    await home.revoke(10)
    await world.level()
    *_, batch = home.view.replica.after({home.view.replica.origin: 0})
    before = {name: state(region) for name, region in world.regions.items()}
    forged = replace(batch, first=batch.last + 1, entries=(b"forged",))
    spoilt = codec.encode_message(Delta(0, (batch,))).replace(b'"made_at":', b'"made_at":1')
    async with Intruder(world, HOME) as intruder:
        subject = nats_layout.batch_subject(intruder.cluster, batch.origin)
        for payload in (b"\x00", b"{}", spoilt, codec.encode_message(Delta(0, (forged,)))):
            await intruder.connection.request(subject, payload)
        for payload in (b"", b"x" * 100):
            await intruder.connection.publish(nats_layout.heartbeat_subject(intruder.cluster, batch.origin), payload)
            await intruder.connection.publish(nats_layout.letter_subject(intruder.cluster, EUROPE, HOME), payload)
    for reason in ("not_json", "unknown_version", "bad_chain", "wrong_cluster"):
        await eventually(lambda reason=reason: reason in europe.refused, reason)
    assert {name: state(region) for name, region in world.regions.items()} == before
    assert (await home.revoke(10)).lagging == ()


async def test_a_heartbeat_that_is_heard_again_is_refused(world):
    europe = world.regions[EUROPE]
    heard = []

    async def record(message):
        heard.append(message)

    async with Intruder(world, HOME) as intruder:
        await intruder.connection.client.subscribe(f"stsd.{intruder.cluster}.hb.*.*", cb=record)
        await eventually(lambda: any(f".{HOME}." in each.subject for each in heard), "a heartbeat")
        again = next(each for each in heard if f".{HOME}." in each.subject)
        europe.refused.clear()
        await intruder.connection.publish(again.subject, again.data)
        await eventually(lambda: "replayed" in europe.refused, "the refusal")


async def test_a_source_that_stalls_is_read_past_and_told_once(world, monkeypatch):
    """The stream of one region gathers from another one no more; its node does not notice by itself. The third
    region is asked at once."""
    home, europe = world.regions[HOME], world.regions[EUROPE]
    listen(europe, monkeypatch)
    await gather(europe, {ASIA})
    for _ in range(3):
        await home.revoke()
        await world.level()
    assert [each["origin"] for each in europe.named("backbone_source_stalled")] == [str(home.view.replica.origin)]
    told = europe.events.index(*europe.named("backbone_source_stalled"))
    assert europe.events[told + 1] == {"event": "Fetch", "peer": ASIA}
    assert europe.backbone.state().stalls == {HOME: 1}
    assert not europe.named("backbone_source_recovered")
    await gather(europe, {ASIA, HOME})
    await home.revoke()
    await eventually(lambda: europe.named("backbone_source_recovered"), "the end of the stall")


async def test_what_a_region_said_that_comes_back_is_asked_for_before_its_source_counts_as_stalled(world, monkeypatch):
    home, europe = world.regions[HOME], world.regions[EUROPE]
    await world.level()
    listen(europe, monkeypatch)
    monkeypatch.setattr(absences, "AWAY_S", 0)  # so every heartbeat is that of one who comes back
    await gather(europe, {ASIA})
    europe.events.clear()
    await home.revoke()
    await world.level()
    names = [each["event"] for each in europe.events]
    assert "backbone_source_stalled" not in names[: names.index("Fetch")]
    await gather(europe, {ASIA, HOME})


async def gather(region: Region, sources: set[str]) -> None:
    """Have a region's stream gather from these others only."""
    wanted = nats_layout.gathered_stream(region.name, sources)
    await region.backbone._connected().ask(f"$JS.{region.name}.API.STREAM.UPDATE.{wanted['name']}", wanted)


def listen(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    """Note what a region asks peers among its events."""
    ask = region.backbone._ask

    def asked(peer, message):
        region.report(type(message).__name__, peer=peer)
        ask(peer, message)

    monkeypatch.setattr(region.backbone, "_ask", asked)


async def test_a_server_that_lost_its_disk_gets_from_the_journal_what_it_had(world):
    home = world.regions[HOME]
    await home.revoke(10)
    await world.kill_server(f"jetstream-{HOME}")
    shutil.rmtree(world.data.nats / HOME / "store")
    await world.start_server(f"jetstream-{HOME}")
    recorded = await home.revoke()
    cluster = nats_layout.cluster_name(world.data.read_key())

    async def kept() -> bool:
        try:
            connection = home.backbone._connected()
            return await streams.published_up_to(connection, cluster, recorded.origin) == recorded.sequence
        except BackboneUnavailable:
            return False

    await fake_regions.eventually(kept, within_s=30)
    info = await home.backbone._connected().ask(f"$JS.{HOME}.API.STREAM.INFO.REV_{HOME}", {})
    own = [batch for batch in home.view.replica.seen() if batch.origin == recorded.origin]
    assert info["state"]["messages"] == len(own)
    await world.level()


async def test_a_node_starts_and_revokes_without_its_servers(world):
    home = world.regions[HOME]
    await home.stop()
    for kind in ("jetstream", "core"):
        await world.kill_server(f"{kind}-{HOME}")
    await home.start()
    assert (await home.revoke()).copies == 1
    assert home.backbone.state().up is False
    for kind in ("jetstream", "core"):
        await world.start_server(f"{kind}-{HOME}")
    await world.level()
