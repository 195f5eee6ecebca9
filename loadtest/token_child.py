"""Measures token verification in a process of its own: `raw` crypto_sign_open, or `verify` of stsd's tokens, uncached.

Run as a script with the `stsd` to be measured on the path. Reads orders from standard input, one `KIND SECONDS` a line,
and answers each with `CALLS ELAPSED_S CPU_S`. The first line is a JSON object with `state_dir` (a node's
data directory), `cluster_key` (a file) and `tokens`; it is answered with `ready`.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair

MESSAGE_BYTES = 600
BATCH = 50


def raw() -> Callable[[], object]:
    """One bare signature check of a 600-byte message: what no verifier with this library can go below."""
    public, secret = crypto_sign_seed_keypair(b"\x01" * 32)
    signed = crypto_sign(b"m" * MESSAGE_BYTES, secret)
    return lambda: crypto_sign_open(signed, public)


def verify(state_dir: Path, cluster_key: Path, tokens: list[str]) -> Callable[[], object]:
    """One verification of a session token with the node's key set, without a cache, each time of another token."""
    from stsd import provision
    from stsd.tokens import session_token

    key = provision.read_cluster_key(cluster_key.read_text(), str(cluster_key))
    files = {file.name: file.read_bytes() for file in state_dir.iterdir() if file.suffix in (".json", ".sealed")}
    keys = provision.read_node_files(key, files, str(state_dir)).keys
    take = itertools.cycle(tokens).__next__
    return lambda: session_token.verify(take(), keys)


def measure(call: Callable[[], object], seconds: float) -> tuple[int, float, float]:
    """Calls, wall-clock seconds and CPU seconds of calling for about `seconds`."""
    calls, began, cpu_began = 0, time.perf_counter(), time.process_time()
    while (elapsed := time.perf_counter() - began) < seconds:
        for _ in range(BATCH):
            call()
        calls += BATCH
    return calls, elapsed, time.process_time() - cpu_began


def main() -> None:
    """Prepares both measurements, then obeys orders until standard input ends."""
    setting = json.loads(sys.stdin.readline())
    kinds = {
        "raw": raw(),
        "verify": verify(Path(setting["state_dir"]), Path(setting["cluster_key"]), setting["tokens"]),
    }
    print("ready", flush=True)
    for order in sys.stdin:
        kind, seconds = order.split()
        print(*measure(kinds[kind], float(seconds)), flush=True)


if __name__ == "__main__":
    main()
