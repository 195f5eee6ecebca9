"""MFA codes at a running node: used once, whatever happens in between (spec 3.2.9, contract 10)."""

from __future__ import annotations

import json
import signal
import time
from base64 import b32encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
import requests
from botocore.exceptions import ClientError

from stsd import mfa
from stsd.mfa import MAX_VERIFICATIONS, STEP_S, WINDOW_S
from stsd.operations.sts import mfa_code
from tests.running import NO_RETRIES, RunningNode, free_base_port, full_disk, run, running_node, wait_for
from tests.world.worlds import ACME, account, key, user, world

BOB = "AKIARTX3GSDSQBBBBBBB"
SEEDS = {f"arn:aws:iam::{ACME}:mfa/bob{number}": bytes([65 + number]) * 20 for number in range(8)}
DEVICES = list(SEEDS)
WORLD = world(
    account(
        Users=[
            user(
                "bob",
                Administrator=True,
                AccessKeys=[key(BOB)],
                MFADevices=[
                    {"SerialNumber": serial, "Base32StringSeed": b32encode(seed).decode()}
                    for serial, seed in SEEDS.items()
                ],
            )
        ]
    )
)


def client(node: RunningNode) -> Any:
    return boto3.client(
        "sts", region_name=node.region, endpoint_url=node.url, aws_access_key_id=BOB, aws_secret_access_key="x" * 40,
        config=NO_RETRIES,
    )  # fmt: skip


def code(serial: str, steps: int = 0) -> str:
    return mfa.code_of(SEEDS[serial], int(time.time()) // STEP_S + steps)


def give(node: RunningNode, serial: str, text: str) -> str:
    """What came of a code: the message of its refusal, or nothing."""
    try:
        client(node).get_session_token(SerialNumber=serial, TokenCode=text)
    except ClientError as refused:
        told: str = refused.response["Error"]["Message"]
        return told
    return ""


@pytest.fixture(scope="module")
def world_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("world") / "world.json"
    file.write_text(json.dumps(WORLD))
    return file


@pytest.fixture(scope="module")
def node(world_file) -> Iterator[RunningNode]:
    with running_node(world_file.parent / "node", "--world", str(world_file), "--log-format", "json") as made:
        yield made


def test_a_code_is_good_once_and_shows_nowhere(node):
    serial = DEVICES[0]
    text = code(serial)
    assert give(node, serial, text) == ""
    assert give(node, serial, text) == mfa_code.WRONG
    assert text not in (node.data_dir.parent / "node.log").read_text()
    feed = requests.get(f"{node.url}/v1/revocations", timeout=5).json()
    assert feed["revocations"] == []


def test_of_many_requests_with_one_code_one_is_answered(node):
    serial = DEVICES[1]
    text = code(serial)
    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(lambda _: give(node, serial, text), range(6)))
    assert sorted(told) == ["", *[mfa_code.WRONG] * 5]


def test_the_operator_reads_a_code(node):
    serial = DEVICES[2]
    told = run("stsd", "mfa", "code", "--serial", serial, "--data-dir", str(node.data_dir))
    assert told.returncode == 0, told.stderr
    assert give(node, serial, told.stdout.strip()) == ""
    wrong = run("stsd", "mfa", "code", "--serial", "nobody", "--data-dir", str(node.data_dir))
    assert wrong.returncode == 1
    assert serial in wrong.stderr


def test_a_code_that_cannot_be_stored_is_refused_and_stays_good(node):
    serial = DEVICES[3]
    text = code(serial)
    full_disk(node)
    try:
        with pytest.raises(ClientError) as refused:
            client(node).get_session_token(SerialNumber=serial, TokenCode=text)
        assert refused.value.response["Error"]["Code"] == "ServiceUnavailable"
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        client(node).get_session_token()
    finally:
        full_disk(node, full=False)
    wait_for(lambda: give(node, serial, text) == "", "the code to be accepted")


def test_a_used_code_stays_used_and_failures_stay_counted_over_kill_9(world_file, tmp_path):
    serial, other = DEVICES[4], DEVICES[5]
    while int(time.time()) % WINDOW_S > WINDOW_S - 20:  # the failures of one window are counted
        time.sleep(1)
    port = free_base_port(1)
    with running_node(tmp_path / "data", "--world", str(world_file), port=port) as first:
        text = code(serial)
        assert give(first, serial, text) == ""
        for _ in range(MAX_VERIFICATIONS - 1):
            assert give(first, other, "000000") == mfa_code.WRONG
        first.stop(signal.SIGKILL)
    with running_node(tmp_path / "data", port=port) as again:
        assert give(again, serial, text) == mfa_code.WRONG
        assert give(again, other, "000000") == mfa_code.WRONG
        assert give(again, other, code(other)) == mfa_code.UNABLE
