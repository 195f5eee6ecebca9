"""The benchmark: every speed claim of the README as a ratio measured in one interleaved run (contract 9).

One node serves on one core; our own client loads it from another with 48 keep-alive connections, closed loop. The
references are measured on the same core in turn with it, in a new order each round: an empty aiohttp POST, and bare
`crypto_sign_open` of a 600-byte message. Signed requests are signed once before the run, one for each connection, and
sent again and again: what is measured is the server, and the client must not be the bound. "Uncached" sends more
different tokens than the node's cache holds, in turn, so that none is found there.
"""

from __future__ import annotations

import itertools
import random
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import click
import orjson
import uvloop

from loadtest import rows as tables
from loadtest.client import LoadError, NextRequest, OnAnswer, Tally, run
from loadtest.places import DataDirError, read_role
from loadtest.rows import EMPTY_POST, RAW_OPEN, Round, Row, Slice
from loadtest.servers import REGION, Bench, Cores, Server, ServerError, TokenChild
from loadtest.signer import (
    Signer,
    assume_role_body,
    get_caller_identity_body,
    session_token_of,
    unsigned_post,
    verify_body,
)

CONNECTIONS = 48
DISTINCT_TOKENS = 11_000
"""More than `VerifiedTokens` of stsd holds (10,000, oldest dropped), so that taking turns never finds one."""
TOKENS_S = 60.0
ROUNDS = 20
SLICE_S = 0.4
WARM_UP_S = 0.5
MAX_S = 300.0
CLIENT_BOUND = 0.9
NO_LIMIT = 10_000_000

Measure = Callable[[float], Slice]


@dataclass(frozen=True, slots=True)
class Subject:
    """A node under test, and everything that is sent to it, made before the run."""

    server: Server
    child: TokenChild
    assume_role: Sequence[bytes]
    get_caller_identity: Sequence[bytes]
    verify: Sequence[bytes] = field(repr=False)

    def measures(self) -> dict[str, Measure]:
        """How to measure each row's name."""
        active = b'"active":true'
        return {
            "AssumeRole": http(self.server, self.assume_role, b"<SessionToken>"),
            "GetCallerIdentity": http(self.server, self.get_caller_identity, b"<Arn>"),
            "verify http uncached": http(self.server, self.verify, active),
            "verify http cached": http(self.server, self.verify[:1], active),
            "verify in process": lambda s: compute(self.child, "verify", s),
        }


def http(server: Server, requests: Sequence[bytes], wanted: bytes) -> Measure:
    """How to measure one slice of HTTP load. Requests take turns over the whole run, not anew in each slice.

    Measuring raises LoadError when an answer is not a 200 that contains `wanted`.
    """
    take = itertools.cycle(requests).__next__

    def good(status: int, answer: bytes) -> bool:
        return status == 200 and wanted in answer

    def slice_of(seconds: float) -> Slice:
        cpu_began = server.cpu_s()
        tally = _load(server.url, take, seconds, good)
        cpu_us = (server.cpu_s() - cpu_began) / tally.done * 1e6
        return Slice(tally.rate, cpu_us, tally.cpu_share > CLIENT_BOUND)

    return slice_of


def compute(child: TokenChild, kind: str, seconds: float) -> Slice:
    """One slice of computing in a child."""
    calls, elapsed_s, cpu_s = child.measure(kind, seconds)
    return Slice(calls / elapsed_s, cpu_s / calls * 1e6)


def _load(url: str, take: NextRequest, seconds: float, good: OnAnswer, limit: int = NO_LIMIT) -> Tally:
    tally = uvloop.run(run(url, take, connections=CONNECTIONS, duration_s=seconds, limit=limit, on_answer=good))
    if tally.failed or not tally.done:
        raise LoadError(f"{url}: {tally.failed} bad answers beside {tally.done} good ones: {tally.first_failure!r}")
    return tally


def prepare(bench: Bench, server: Server, child: TokenChild) -> Subject:
    """Signs the requests and fetches the tokens of a run from `server` itself. Raises LoadError, DataDirError."""
    assert server.data_dir is not None
    role = read_role(server.data_dir)
    signer = Signer(role.key, REGION, server.url)
    assume_role = [signer.request(assume_role_body(role, f"bench-{n}")) for n in range(CONNECTIONS)]
    tokens = _tokens(server, assume_role)
    child.prepare(
        {
            "state_dir": str(server.data_dir),
            "cluster_key": str(server.data_dir / "cluster.key"),
            "tokens": tokens[:1000],
        }
    )
    return Subject(
        server,
        child,
        assume_role,
        [signer.request(get_caller_identity_body()) for _ in range(CONNECTIONS)],
        [unsigned_post(server.url, "/v1/verify", verify_body(token)) for token in tokens],
    )


def _tokens(server: Server, assume_role: Sequence[bytes]) -> list[str]:
    tokens: list[str] = []

    def keep(status: int, answer: bytes) -> bool:
        if status == 200:
            tokens.append(session_token_of(answer))
        return status == 200

    _load(server.url, itertools.cycle(assume_role).__next__, TOKENS_S, keep, DISTINCT_TOKENS)
    if len(tokens) < DISTINCT_TOKENS:
        raise LoadError(f"{server.url}: only {len(tokens)} of {DISTINCT_TOKENS} tokens in {TOKENS_S:g} seconds")
    return tokens


def measure(against: str | None, rounds: int, slice_s: float, say: Callable[[str], None]) -> list[Row]:
    """A whole run. Raises LoadError, ServerError or DataDirError."""
    with Bench(Cores.available()) as bench:
        say("starting servers on one core …")
        empty = bench.empty()
        ours = prepare(bench, bench.node("ours"), bench.token_child())
        plain = [_plain_post(empty.url)]
        measures: dict[str, Measure] = {
            EMPTY_POST: http(empty, plain, b"xxxx"),
            RAW_OPEN: lambda s: compute(ours.child, "raw", s),
            **ours.measures(),
        }
        if against is not None:
            source = bench.checkout(against)
            theirs = prepare(bench, bench.node("theirs", source), bench.token_child(source))
            measures |= {f"{against} {name}": call for name, call in theirs.measures().items()}
        for call in measures.values():
            call(WARM_UP_S)
        return tables.rows(_rounds(measures, rounds, slice_s, say), against)


def _rounds(measures: dict[str, Measure], rounds: int, slice_s: float, say: Callable[[str], None]) -> list[Round]:
    order, shuffle = list(measures), random.Random(0).shuffle
    deadline = time.monotonic() + MAX_S - len(measures) * (slice_s + 1) - 30
    done: list[Round] = []
    while len(done) < rounds and (not done or time.monotonic() < deadline):
        say(f"round {len(done) + 1} of {rounds}")
        shuffle(order)
        done.append({name: measures[name](slice_s) for name in order})
    return done


def _plain_post(url: str) -> bytes:
    """As long as a signed AssumeRole form, so that both servers read about as much."""
    return unsigned_post(url, "/", b"x" * 340)


def render(found: Sequence[Row], cores: Cores) -> str:
    """The table that people read, in Markdown, so that it can be pasted into a README."""
    lines = [
        "| call | calls/s | CPU µs | reference | calls/s | CPU µs | ratio | per round | first target |",
        "|---|---:|---:|---|---:|---:|---:|---|---:|",
    ]
    for row in found:
        target = f"{tables.TARGETS[row.name]:.2f}" if row.reference_name in (EMPTY_POST, RAW_OPEN) else ""
        ours = f"{row.name} | {row.ours:,.0f} | {row.cpu_us:.1f}"
        reference = f"{row.reference_name} | {row.reference:,.0f} | {row.reference_cpu_us:.1f}"
        spread = f"{min(row.runs):.2f}–{max(row.runs):.2f}"
        lines.append(f"| {ours} | {reference} | {row.ratio:.2f} | {spread} | {target} |")
    notes = [f"Server on core {cores.server}, client on core {cores.client}; medians of {len(found[0].runs)} rounds."]
    if cores.server == cores.client:
        notes.append("Only one core is available: client and server share it, so the rates are low and ratios rough.")
    bound = sorted({row.name for row in found if row.client_bound})
    if bound:
        notes.append(f"The client was the bound in a slice of: {', '.join(bound)}. Those rates are lower bounds.")
    return "\n".join([*lines, "", *notes])


@click.command(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: python -m loadtest.bench --against HEAD~1",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on standard output.")
@click.option("--against", metavar="REV", help="Measure this older commit in the same run too.")
@click.option("--rounds", type=click.IntRange(1, 200), default=ROUNDS, show_default=True, help="Interleaved rounds.")
@click.option("--slice-s", type=click.FloatRange(0.05, 5), default=SLICE_S, show_default=True,
              help="Seconds of each measurement in a round.")  # fmt: skip
def main(as_json: bool, against: str | None, rounds: int, slice_s: float) -> None:
    """Measure stsd against an empty aiohttp POST and bare signature checks; about a minute, at most five."""
    if against is not None and not re.fullmatch(r"[A-Za-z0-9][\w./~^@{}-]*", against):
        _fail(f"--against {against}: not a revision; give a commit, a branch or a tag", 2)
    try:
        found = measure(against, rounds, slice_s, lambda text: click.echo(f"bench: {text}", err=True))
    except ServerError as error:
        _fail(str(error), 2 if str(error).startswith("--against") else 1)
    except (LoadError, DataDirError) as error:
        _fail(str(error), 1)
    except KeyboardInterrupt:
        _fail("stopped; nothing was measured to the end", 1)
    click.echo(orjson.dumps([row.json() for row in found]).decode() if as_json else render(found, Cores.available()))


def _fail(text: str, code: int) -> NoReturn:
    click.echo(f"bench: {text}", err=True)
    sys.exit(code)


def command_line() -> NoReturn:
    """The command line; a wrong flag is one line, as everywhere."""
    try:
        main(prog_name="python -m loadtest.bench", standalone_mode=False)
    except click.ClickException as error:
        _fail(error.format_message(), 2)
    sys.exit(0)


if __name__ == "__main__":
    command_line()
