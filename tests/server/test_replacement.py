"""Two regions get new nodes while the third is away: nobody whom it knows is left to tell it."""

from __future__ import annotations

import signal

import pytest

from stsd import provision
from stsd.revocation import codec
from stsd.revocation.identity import Signer
from stsd.revocation.messages import PeerNews
from stsd.revocation.peer_records import Left, Peer, sign_left, sign_peer
from stsd.revocation.peer_set import PeerSet
from stsd.server.backbone.sealing import Sealing, news_of
from stsd.wire.envelope import UnknownSender
from tests.running import RunningNode, free_base_port, join, run, running_node, ticket, wait_for
from tests.server.test_membership import AP, EU, US, peers, readiness, revoke, revoked

ROOT, KEY, NOW = Signer(b"r" * 32), b"k" * 32, 1_795_435_200
OLD = {US: b"u" * 32, EU: b"e" * 32, AP: b"a" * 32}
NEW = {US: b"U" * 32, EU: b"E" * 32}


def before() -> PeerSet:
    """What all knew when the third region was cut off."""
    return provision.founders(ROOT, {region: (seed, "http://127.0.0.1:1") for region, seed in OLD.items()}, NOW)


def replaced() -> PeerSet:
    """What the other two know now."""
    known = before()
    for region, seed in NEW.items():
        peer = Peer(region, Signer(seed).public_key, "http://127.0.0.1:1", NOW + 1)
        assert known.take(sign_left(ROOT, Signer(OLD[region]).public_key, Left({}, NOW + 1))) == "new"
        assert known.take(sign_peer(ROOT, ROOT.public_key, peer)) == "new"
    return known


def news(known: PeerSet) -> bytes:
    return codec.encode_message(PeerNews(0, known.digest(), known.records()))


def test_of_a_message_by_an_unknown_key_the_peer_set_counts_and_nothing_else():
    known = before()
    away, new = Sealing(KEY, AP, Signer(OLD[AP]), known), Sealing(KEY, EU, Signer(NEW[EU]), replaced())
    with pytest.raises(UnknownSender, match="not_a_peer") as refused:
        away.open(new.seal(AP, [b"noise", b'{"v":2,"type":"ack","epoch":0,"heads":{}}', news(replaced())])[1])
    (told,) = news_of(refused.value)
    assert {known.take(record) for record in told.records} == {"known", "new"}
    assert known.digest() == replaced().digest()
    assert away.open(new.seal(AP, [b"question"])[1])[1] == [b"question"]
    header, call = away.seal(US, [b"question"])
    us = Sealing(KEY, US, Signer(NEW[US]), replaced())
    asked, said = us.open(call)
    assert said == [b"question"]
    assert away.open_answer(us.seal(AP, [b"answer"], asked.number)[1], header) == [b"answer"]


def test_what_an_unknown_key_forges_changes_nothing():
    known = before()
    away, stranger = Sealing(KEY, AP, Signer(OLD[AP]), known), Sealing(KEY, EU, Signer(b"x" * 32), before())
    forged = sign_left(Signer(b"x" * 32), Signer(OLD[US]).public_key, Left({}, NOW))
    with pytest.raises(UnknownSender) as refused:
        away.open(stranger.seal(AP, [codec.encode_message(PeerNews(0, bytes(16), (forged,)))])[1])
    (told,) = news_of(refused.value)
    assert known.take(told.records[0]) in ("forged", "other_cluster")
    assert known.digest() == before().digest()


def replace(region: str, sponsor: RunningNode, root_key: str, path, port: int) -> RunningNode:
    text = ticket(sponsor.data_dir, region, "--replace", "--root-key", root_key)
    result = join(text, sponsor.url, path, f"http://127.0.0.1:{port}")
    assert result.returncode == 0, result.stderr
    return running_node(path, region=region, port=port)


@pytest.mark.processes
@pytest.mark.parametrize("elsewhere", [False, True], ids=["same-urls", "other-urls"])
def test_a_region_that_was_away_while_both_others_were_replaced_finds_them_again(tmp_path, elsewhere):
    port = free_base_port(5)
    ports = {US: port, EU: port + 1, AP: port + 2}
    later = {US: port + 3, EU: port + 4} if elsewhere else ports
    with running_node(tmp_path / "us", port=port) as first:
        keys, root_key = first.keys("admin"), str(tmp_path / "us" / "root.key")
        for region, name in ((EU, "eu"), (AP, "ap")):
            text = ticket(first.data_dir, region)
            url = f"http://127.0.0.1:{ports[region]}"
            assert join(text, first.url, tmp_path / name, url).returncode == 0
        with running_node(tmp_path / "ap", region=AP, port=ports[AP]) as third:
            wait_for(lambda: readiness(third)["ready"], "catching up")
            assert revoke(third, keys, "ASIARTX3GSDSQAAAAAAA", wait="all").json()["copies"] == 2
            third.stop(signal.SIGKILL)
        with replace(EU, first, root_key, tmp_path / "new-eu", later[EU]) as second:
            wait_for(lambda: readiness(second)["ready"], "catching up")
            first.stop(signal.SIGKILL)
            with replace(US, second, root_key, tmp_path / "new-us", later[US]) as other:
                wait_for(lambda: readiness(other)["ready"], "catching up")
                with running_node(tmp_path / "ap", region=AP, port=ports[AP]) as third:
                    wait_for(lambda: len(peers(third.data_dir)) == 5, "the news")
                    everybody = sorted([AP, EU, US])
                    for node, subject in ((third, "ASIARTX3GSDSQBBBBBBB"), (other, "ASIARTX3GSDSQCCCCCCC")):
                        wait_for(
                            lambda node=node, subject=subject: (
                                sorted(revoke(node, keys, subject, wait="all").json()["confirmed"]) == everybody
                            ),
                            "all hearing of it",
                        )
                    assert all({"ASIARTX3GSDSQAAAAAAA"} <= revoked(node.url) for node in (second, other, third))
                    assert run("stsd", "peers", "list", "--data-dir", str(third.data_dir)).returncode == 0
