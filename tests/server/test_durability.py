"""What a disk may do to a journal of real SQLite between two starts, and what a node makes of it."""

from __future__ import annotations

import re
import signal
import sqlite3
from pathlib import Path

import pytest
import requests

from tests.running import RunningNode, free_base_port, join, post_signed, running_node, ticket, wait_for

pytestmark = pytest.mark.processes

US, EU = "us-east-1", "eu-west-1"
SUBJECTS = [f"ASIARTX3GSDSQAAAAAA{letter}" for letter in "ABC"]


def revoked(node: RunningNode) -> set[str]:
    return {entry["subject"] for entry in requests.get(f"{node.url}/v1/revocations", timeout=5).json()["revocations"]}


def origin(node: RunningNode) -> str:
    return requests.get(f"{node.url}/readyz", timeout=5).json()["origin"]


def revoke(node: RunningNode, keys: dict[str, str], subject: str) -> dict:
    return post_signed(node.url, "/v1/revocations", {"access_key_id": subject, "wait": "all"}, keys, node.region).json()


def damaged(tmp_path: Path, damage, number: signal.Signals) -> str:
    """A node whose journal is damaged between two starts, while its peer lives; what it logged after the second one."""
    port = free_base_port(2)
    with running_node(tmp_path / "eu-founder", region=EU, port=port + 1) as peer:
        keys = peer.keys("admin")
        result = join(ticket(peer.data_dir, US), peer.url, tmp_path / "us", f"http://127.0.0.1:{port}")
        assert result.returncode == 0, result.stderr
        with running_node(tmp_path / "us", port=port) as node:
            wait_for(lambda: requests.get(f"{node.url}/readyz", timeout=5).json()["ready"], "catching up")
            assert all(revoke(node, keys, subject)["copies"] == 2 for subject in SUBJECTS)
            before = origin(node)
            node.stop(number)
        damage(tmp_path / "us" / "journal.db")
        with running_node(tmp_path / "us", port=port) as node:
            wait_for(lambda: set(SUBJECTS) <= revoked(node), "the repair", 10)
            wait_for(lambda: origin(node) != before, "another incarnation", 10)
            told = revoke(node, keys, "ASIARTX3GSDSQZZZZZZZ")
            assert told["origin"] == origin(node)
            wait_for(lambda: {*SUBJECTS, "ASIARTX3GSDSQZZZZZZZ"} <= revoked(peer), "what came after", 10)
            node.stop()
    return (tmp_path / "us.log").read_text()


def test_a_torn_end_of_the_journal_is_taken_from_peers_and_no_sequence_is_used_twice(tmp_path):
    def tear(journal: Path) -> None:
        wal = journal.with_name("journal.db-wal")
        assert wal.stat().st_size > 20_000
        with wal.open("r+b") as file:
            file.truncate(wal.stat().st_size - 9_000)

    assert "incarnation_renewed reason=overtaken" in damaged(tmp_path, tear, signal.SIGKILL)


def test_a_flipped_bit_in_a_stored_batch_is_found_told_and_repaired_from_peers(tmp_path):
    def flip(journal: Path) -> None:
        with sqlite3.connect(journal) as connection:
            (body,) = connection.execute("SELECT body FROM batches WHERE first = 2").fetchone()
        connection.close()
        content = bytearray(journal.read_bytes())
        place = content.index(body[:200]) + re.search(rb'"entries":\["', body).end() + 8
        content[place] ^= 1
        journal.write_bytes(content)

    assert "journal_damaged origin=us-east-1/1/" in damaged(tmp_path, flip, signal.SIGTERM)
