"""What every backbone has to do, on each: the embedded one, Debian's nats-server, and a current one.

Each test leaves three regions that hold the same. The world is shared, so that its start is paid once.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from stsd import provision
from stsd.revocation import codec
from stsd.revocation.identity import Signer
from stsd.revocation.messages import Delta, Fetch
from stsd.revocation.peer_records import Left, sign_left, sign_peer
from stsd.revocation.peer_set import PeerSet
from stsd.server.backbone import NOTHING, BackboneUnavailable
from tests.backbone.refusals import REFUSALS, send
from tests.backbone.regions import World, eventually

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module")]
HOME, EUROPE, ASIA = "us-east-1", "eu-west-1", "ap-southeast-1"
NOBODYS_PORT = 1
"""What gateways advertise: see `nats_files`."""


def called(log: Path, region: str) -> list[int]:
    """The ports at which a core server has called a region's gateway."""
    return [int(port) for port in re.findall(rf'explicit gateway "{region}" .*at 127\.0\.0\.1:(\d+)', log.read_text())]


def own_log(world: World, name: str) -> list[bytes]:
    """Every entry of a region's own log, in order."""
    replica = world.regions[name].view.replica
    batches = sorted((batch for batch in replica.seen() if batch.origin == replica.origin), key=lambda b: b.first)
    return list(chain.from_iterable(batch.entries for batch in batches))


async def test_a_batch_is_receipted_and_its_copies_are_counted(world):
    home = world.regions[HOME]
    recorded = await home.revoke(10)
    assert (set(recorded.confirmed), recorded.lagging) == ({HOME, EUROPE, ASIA}, ())
    newest = list(home.view.replica.after({recorded.origin: recorded.sequence - 1}))[-1]
    receipt = await home.backbone.append(Delta(0, (newest,), identities=home.view.replica.identities.announcements()))
    assert receipt.kept_by
    await world.level()


async def test_what_all_write_at_once_arrives_everywhere_in_order(world):
    before = sum(world.regions[HOME].heads().values())
    await asyncio.gather(*(region.revoke() for region in world.regions.values() for _ in range(200)))
    await world.level()
    assert sum(world.regions[HOME].heads().values()) == before + 600
    for name, region in world.regions.items():
        copies = {tuple(own_log(world, name))}
        for other in world.regions.values():
            log = [batch for batch in other.view.replica.seen() if batch.origin == region.view.replica.origin]
            copies.add(tuple(entry for batch in sorted(log, key=lambda b: b.first) for entry in batch.entries))
        assert len(copies) == 1


async def test_what_is_sent_twice_changes_nothing(world):
    home = world.regions[HOME]
    await home.revoke(10)
    await world.level()
    before = {name: (region.heads(), len(region.view.revocations)) for name, region in world.regions.items()}
    keys = home.view.replica.identities.announcements()
    for batch in list(home.view.replica.after({home.view.replica.origin: 0}))[-5:]:
        message = Delta(0, (batch,), identities=keys)
        for other in (EUROPE, ASIA):
            await world.regions[other].replicator.conversation.deliver(HOME, message)
    await world.regions[HOME].backbone.append(message)
    await asyncio.sleep(0.2)
    after = {name: (region.heads(), len(region.view.revocations)) for name, region in world.regions.items()}
    assert after == before
    assert not any(region.view.replica.forks() for region in world.regions.values())


async def test_a_batch_that_comes_before_its_predecessor_is_enforced_and_the_gap_is_filled(world):
    home, europe = world.regions[HOME], world.regions[EUROPE]
    world.cut(HOME, EUROPE)
    world.cut(ASIA, EUROPE)
    for _ in range(2):
        await home.revoke()
    origin = home.view.replica.origin
    *_, late = home.view.replica.after({origin: 0})
    before = europe.heads()[origin]
    await europe.replicator.conversation.deliver(HOME, Delta(0, (late,)))
    assert europe.view.replica.has(late)
    assert europe.heads()[origin] == before
    world.heal()
    await world.level()


async def test_what_is_fetched_is_delivered(world):
    home, europe = world.regions[HOME], world.regions[EUROPE]
    await home.revoke(10)
    await world.level()
    heard = []

    async def deliver(peer, message, real=europe.replicator.conversation.deliver):
        heard.append((peer, message))
        await real(peer, message)

    europe.backbone._deliver = deliver
    origin = home.view.replica.origin
    last = europe.heads()[origin]
    europe.backbone.fetch(HOME, Fetch(0, {origin: last - 1}))
    await eventually(
        lambda: any(
            isinstance(message, Delta) and message.part == "last" and message.batches[0].last == last
            for _, message in heard
        ),
        "the answer",
    )
    europe.backbone._deliver = europe.replicator.conversation.deliver


async def test_heads_tell_how_far_every_log_goes(world):
    recorded = [await region.revoke(10) for region in world.regions.values()]
    for region in world.regions.values():
        for each in recorded:
            await eventually(
                lambda region=region, each=each: (
                    region.backbone.heads().get(each.origin, NOTHING).sequence >= each.sequence
                ),
                "a head",
            )
    await world.level()
    assert all(set(region.replicator.behind().values()) == {0} for region in world.regions.values())


async def test_the_newest_snapshot_comes_back_and_three_are_kept(world):
    home = world.regions[HOME].backbone
    assert await world.regions[ASIA].backbone.snapshot_get() is None
    for number in range(5):
        await home.snapshot_put(bytes([number]) * 300_000)
        assert await home.snapshot_get() == bytes([number]) * 300_000
    if world.engine == "http":
        assert len(list((world.regions[HOME].folder / "snapshots").iterdir())) == 3
    else:
        stored = await home._connected().ask("$JS.us-east-1.API.STREAM.INFO.OBJ_SNAP_us-east-1", {})
        assert stored["state"]["bytes"] < 4 * 300_000


async def test_a_node_that_was_away_catches_up_from_its_journal_on(world):
    asia = world.regions[ASIA]
    await asia.stop()
    await world.regions[HOME].revoke()
    await world.regions[EUROPE].revoke()
    await asia.start()
    await world.level()
    assert (await world.regions[HOME].revoke(10)).lagging == ()


async def test_a_node_with_an_empty_disk_gets_everything_back(world):
    asia = world.regions[ASIA]
    await asia.revoke(10)
    before = asia.heads()
    await asia.restart(empty=True)
    await world.level(joined=True)
    assert before.items() <= asia.heads().items()
    assert asia.view.replica.origin not in before


async def test_an_empty_disk_is_filled_from_the_regions_snapshot_while_every_peer_is_away(world):
    asia = world.regions[ASIA]
    await asyncio.gather(*(region.revoke(10) for region in world.regions.values()))
    await world.level()
    before, revoked = asia.heads(), len(asia.view.revocations)
    await asia.replicator.snapshots.put()
    world.isolate(ASIA)
    await asia.restart(empty=True)
    await eventually(lambda: before.items() <= asia.heads().items(), "what the snapshot held")
    assert len(asia.view.revocations) == revoked
    assert not asia.view.replica.joined  # what others know meanwhile, it has still to hear
    world.heal()
    await world.level(joined=True)


async def test_a_region_that_is_cut_off_goes_on_and_all_are_level_after_the_heal(world):
    home = world.regions[HOME]
    world.isolate(HOME)
    await asyncio.sleep(0.2)
    cut_off = [await home.revoke() for _ in range(3)]
    assert {each.copies for each in cut_off} == {1}
    assert (await world.regions[EUROPE].revoke()).confirmed == (EUROPE, ASIA)
    world.heal()
    await world.level()


async def test_a_cut_in_one_direction_is_passed_by_through_the_third_region_or_after_the_heal(world):
    world.cut(HOME, EUROPE, one_way=True)
    await world.regions[HOME].revoke()
    await world.regions[EUROPE].revoke()
    await asyncio.sleep(0.5)
    world.heal()
    await world.level()


async def test_a_region_that_was_away_while_both_others_were_replaced_finds_them_again(world):
    """It starts with a peer set in which the others have the keys of nodes that left meanwhile."""
    asia, others = world.regions[ASIA], (HOME, EUROPE)
    root = provision.read_root_key((world.data.path / provision.ROOT_KEY_FILE).read_text(), "root.key")
    present = world.regions[HOME].membership.peers
    former, leaving = PeerSet(present.root_key), []
    for peer in present.members().values():
        if peer.region in others:
            key = Signer(f"former {peer.region}".encode().ljust(32)).public_key
            leaving.append(sign_left(root, key, Left({}, 2)))
            peer = replace(peer, public_key=key, since=1)
        assert former.take(sign_peer(root, root.public_key, peer)) == "new"
    for name in others:
        await world.regions[name].membership.keep((*former.records(), *leaving), pytest.fail)
    await asia.stop()
    (asia.folder / provision.PEERS_FILE).write_bytes(provision.peers_file(former))
    await asia.start()
    await eventually(lambda: asia.membership.peers.digest() == present.digest(), "the news")
    for region in world.regions.values():
        await eventually(lambda region=region: not region.view.replica.unheard(0), "everybody's voice")
        assert (await region.revoke(10)).lagging == ()
    await world.level()


@pytest.mark.parametrize(("made", "reason"), REFUSALS, ids=[made.__name__ for made, _ in REFUSALS])
async def test_what_is_refused_changes_nothing_is_counted_and_is_named_with_its_sender(world, made, reason):
    asia, europe = world.regions[ASIA], world.regions[EUROPE]
    await europe.revoke(10)
    await world.level()
    before = (asia.heads(), len(asia.view.revocations), asia.view.replica.forks())
    # Over HTTP nobody with another cluster's key can be believed to be who it says; a broker knows who publishes.
    sender = "127.0.0.1" if world.engine == "http" and reason == "wrong_cluster" else EUROPE
    told = {"event": "peer_message_refused", "reason": reason, "peer": sender}
    counted, logged = asia.refused.count(reason), asia.logged(**told)
    for sealed in made(world):
        await send(world, sealed)
    await eventually(lambda: asia.refused.count(reason) > counted, "the count")
    await eventually(lambda: asia.logged(**told) > logged, "the event")
    assert (asia.heads(), len(asia.view.revocations), asia.view.replica.forks()) == before


async def test_messages_in_another_order_are_taken_as_they_come(world):
    asia, europe = world.regions[ASIA], world.regions[EUROPE]
    await europe.revoke(10)
    await world.level()
    before, refused = asia.heads(), len(asia.refused)
    sealing = europe.backbone._links._sealing if world.engine == "http" else europe.backbone._sealing
    digest = codec.encode_message(europe.view.replica.digest())
    for sealed in reversed([sealing.seal(ASIA, [digest])[1] for _ in range(20)]):
        await send(world, sealed)
    assert (await europe.revoke(10)).lagging == ()
    await world.level()
    assert asia.heads().keys() == before.keys()
    assert len(asia.refused) == refused


async def test_a_node_of_another_cluster_is_told_in_both_directions_also_after_it_was_not_reached(world):
    """It comes back with another cluster's key: its calls are refused here, and ours there."""
    if world.engine != "http":
        pytest.skip("the servers of NATS let no user of another cluster in")
    asia, europe = world.regions[ASIA], world.regions[EUROPE]
    await asia.stop()
    await eventually(
        lambda: any(each["peer"] == ASIA for each in europe.named("peer_unreachable")), "Europe's failing call"
    )
    europe.events.clear()
    asia.events.clear()
    asia.other_key = b"another cluster".ljust(32)
    await asia.start()
    for node, peer in ((europe, ASIA), (asia, EUROPE)):
        told = {"event": "peer_unreachable", "peer": peer, "reason": "wrong_cluster"}
        await eventually(lambda node=node, told=told: told in node.events, "that our calls are refused")
        await eventually(
            lambda node=node: node.logged("peer_message_refused", reason="wrong_cluster", peer="127.0.0.1"),
            "that their calls are refused",
        )
        assert node.events.count(told) == 1
    asia.other_key = b""
    await asia.restart()
    await eventually(lambda: any(each["peer"] == ASIA for each in europe.named("peer_reachable")), "the end of it")
    await world.level()


@pytest.mark.soak
async def test_what_was_written_while_the_carrier_was_down_arrives(world):
    """The servers of one region are killed, or its node where nodes call each other."""
    home = world.regions[HOME]
    if world.engine == "http":
        await home.restart()
        await world.level()
        return
    for kind in ("jetstream", "core"):
        await world.kill_server(f"{kind}-{HOME}")
    assert (await home.revoke()).copies == 1
    with pytest.raises(BackboneUnavailable):
        await home.backbone.snapshot_get()
    for kind in ("jetstream", "core"):
        await world.start_server(f"{kind}-{HOME}")
    await world.level()


async def test_a_region_whose_streams_restart_while_it_is_cut_off_is_level_soon_after_the_heal(world):
    """Sources of streams may stay stalled for minutes; nobody waits for them."""
    home = world.regions[HOME]
    world.isolate(HOME)
    await home.revoke()
    if world.engine != "http":
        await world.kill_server(f"jetstream-{HOME}")
        await home.revoke()
        await world.start_server(f"jetstream-{HOME}")
    else:
        await home.restart()
    await home.revoke()
    await world.regions[EUROPE].revoke()
    world.heal()
    await world.level()
    for region in world.regions.values():
        assert (await region.revoke(20)).lagging == ()


async def test_the_region_whose_clock_is_wrong_knows_it_and_no_other_does(world):
    wrong = world.regions[EUROPE]
    await wrong.replicator.move_clock(60)
    await eventually(lambda: wrong.view.clock_wrong_by_s is not None, "that Europe knows its clock to be wrong", 10)
    assert wrong.view.clock_wrong_by_s == pytest.approx(60, abs=1)
    assert [world.regions[name].view.clock_wrong_by_s for name in (HOME, ASIA)] == [None, None]
    await wrong.replicator.move_clock(0)
    await eventually(lambda: len(wrong.replicator.clocks.offsets_s()) == 2, "the answers of both others", 10)
    assert wrong.view.clock_wrong_by_s is None


async def test_gateways_call_each_other_through_the_links_of_their_own_pair_only(world):
    """Others tell a server by which ports they reach a region, and those belong to their links."""
    if world.engine == "http":
        pytest.skip("no gateways")
    callers = {name: world.data.log(f"core-{name}") for name in (HOME, ASIA)}
    before = {name: len(called(log, EUROPE)) for name, log in callers.items()}
    await world.kill_server(f"core-{EUROPE}")
    for name, log in callers.items():
        await eventually(lambda name=name, log=log: len(called(log, EUROPE)) >= before[name] + 2, "two calls")
    await world.start_server(f"core-{EUROPE}")
    await world.level()
    for name in world.regions:
        for other in world.regions.keys() - {name}:
            own = {world.data.ports.gateways[name, other], NOBODYS_PORT}
            assert set(called(world.data.log(f"core-{name}"), other)) <= own, f"{name} to {other}"
