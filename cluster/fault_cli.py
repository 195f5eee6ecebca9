"""The verbs of `python -m cluster` that disturb a running cluster, one for each kind of fault (see
`fault_records`). (I/O)"""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from cluster import control, faults
from cluster.command_line import DATA, ask, find_with
from cluster.data_dir import DataDir
from cluster.errors import ClusterError
from cluster.fault_records import OFFSET_S_MAX, STALL_MS_MAX, Fault

MS = click.FloatRange(0, faults.EXTRA_MS_MAX)
SHARE = click.FloatRange(0, 1)
STATUS = click.Choice(["500", "502", "503", "504"])


@click.command()
@click.argument("name", metavar="R")
@DATA
def pause(name: str, data_dir: Path) -> None:
    """Stop the process of a region where it is (SIGSTOP): it keeps its connections and answers nothing.

    Example: python -m cluster pause eu-west-1
    """
    data = _cluster(data_dir, name)
    answer = ask(data, name, "pause")
    click.echo(f"{name}: process {answer['pid']} is paused; `python -m cluster resume {name}{data.flag}` lets it go on")


@click.command()
@click.argument("name", metavar="R")
@DATA
def resume(name: str, data_dir: Path) -> None:
    """Let the paused process of a region go on (SIGCONT).

    Example: python -m cluster resume eu-west-1
    """
    click.echo(f"{name}: process {ask(_cluster(data_dir, name), name, 'resume')['pid']} goes on")


@click.command()
@click.argument("first", metavar="R1")
@click.argument("second", metavar="R2")
@click.option("--one-way", is_flag=True, help="Only what goes from R1 to R2, answers to requests of R2 included.")
@DATA
def partition(first: str, second: str, one_way: bool, data_dir: Path) -> None:
    """Let nothing pass between two regions: connections between their nodes stand and stall.

    Example: python -m cluster partition us-east-1 eu-west-1 --one-way
    """
    pair = f"{first} {'to' if one_way else 'and'} {second}"
    _do(data_dir, Fault(0, "partition", first, second, one_way=one_way), f"{pair}: nothing passes")


@click.command()
@click.argument("region", metavar="[R]", required=False)
@DATA
def isolate(region: str | None, data_dir: Path) -> None:
    """Let nothing pass between a region and every other one; without R, between any two.

    Example: python -m cluster isolate ap-southeast-1
    """
    said = f"{region}: nothing passes to or from another region" if region else "nothing passes between any two regions"
    _do(data_dir, Fault(0, "isolate", region or ""), said)


@click.command()
@click.argument("first", metavar="R1")
@click.argument("second", metavar="R2")
@click.argument("ms", metavar="MS", type=MS)
@DATA
def slow(first: str, second: str, ms: float, data_dir: Path) -> None:
    """Let everything between two regions take MS milliseconds longer, each way; 0 ends it.

    Example: python -m cluster slow us-east-1 eu-west-1 250
    """
    _do(data_dir, Fault(0, "slow", first, second, ms=ms), f"{first} and {second}: {ms:g} ms slower each way")


@click.command()
@click.argument("first", metavar="R1")
@click.argument("second", metavar="R2")
@click.argument("share", metavar="SHARE", type=SHARE)
@DATA
def lose(first: str, second: str, share: float, data_dir: Path) -> None:
    """Let a share of the messages between two regions come late, as after a lost packet; 0 ends it.

    Example: python -m cluster lose us-east-1 eu-west-1 0.1
    """
    _do(data_dir, Fault(0, "lose", first, second, share=share), f"{first} and {second}: {share:.2%} is lost")


@click.command("error-rate")
@click.argument("region", metavar="R")
@click.argument("share", metavar="SHARE", type=SHARE)
@click.option("--status", type=STATUS, default="503", show_default=True, help="Of these answers.")
@DATA
def error_rate(region: str, share: float, status: str, data_dir: Path) -> None:
    """Let a share of a region's answers to clients be errors, and nothing be done for them; 0 ends it. Health checks
    are as before. Needs `up --unsafe-test-hooks`, as everything inside a node does.

    Example: python -m cluster error-rate us-east-1 0.3
    """
    said = f"{region}: {share:.2%} of the answers are {status}"
    _do(data_dir, Fault(0, "error-rate", region, share=share, status=int(status)), said)


@click.command("brown-out")
@click.argument("region", metavar="R")
@click.option("--times", type=click.FloatRange(1, 1000), default=1.0, help="How many times as long an answer takes.")
@click.option("--ms", type=MS, default=0.0, help="How much longer it takes, after that.")
@DATA
def brown_out(region: str, times: float, ms: float, data_dir: Path) -> None:
    """Let a region answer its clients late, without using its CPU; without an option this ends it. Needs
    `up --unsafe-test-hooks`.

    Example: python -m cluster brown-out us-east-1 --times 10 --ms 200
    """
    said = f"{region}: answers take {times:g} times as long, and {ms:g} ms more"
    _do(data_dir, Fault(0, "brown-out", region, times=times, ms=ms), said)


@click.command()
@click.argument("region", metavar="R")
@click.option("--status", type=STATUS, default="500", show_default=True, help="Of who wants a session.")
@DATA
def grey(region: str, status: str, data_dir: Path) -> None:
    """Let a region issue no sessions while its health checks, and everything else, are fine. Needs
    `up --unsafe-test-hooks`.

    Example: python -m cluster grey us-east-1
    """
    _do(data_dir, Fault(0, "grey", region, status=int(status)), f"{region}: issues nothing, and says that it is ready")


@click.command()
@click.argument("region", metavar="R")
@click.argument("ms", metavar="MS", type=click.FloatRange(0, STALL_MS_MAX))
@DATA
def stall(region: str, ms: float, data_dir: Path) -> None:
    """Let a region's node burn MS milliseconds of CPU time before each call of a client; 0 ends it. Needs
    `up --unsafe-test-hooks`.

    Example: python -m cluster stall us-east-1 50
    """
    _do(data_dir, Fault(0, "stall", region, ms=ms), f"{region}: each call costs {ms:g} ms of CPU")


@click.command("clock-offset", context_settings={"ignore_unknown_options": True})
@click.argument("region", metavar="R")
@click.argument("seconds", metavar="SECONDS", type=click.FloatRange(-OFFSET_S_MAX, OFFSET_S_MAX))
@DATA
def clock_offset(region: str, seconds: float, data_dir: Path) -> None:
    """Set a region's clock SECONDS ahead of real time, or behind it with a minus; 0 sets it right. Token expiry and
    revocation go by it, the window of signatures does not. Needs `up --unsafe-test-hooks`.

    Example: python -m cluster clock-offset us-east-1 -5
    """
    said = f"{region}: the clock is {abs(seconds):g} s {'behind' if seconds < 0 else 'ahead'}"
    _do(data_dir, Fault(0, "clock-offset", region, offset_s=seconds), said)


@click.command("full-disk")
@click.argument("region", metavar="R")
@DATA
def full_disk(region: str, data_dir: Path) -> None:
    """Let every write of a region's node to a file fail.

    Example: python -m cluster full-disk eu-west-1
    """
    _do(data_dir, Fault(0, "full-disk", region), f"{region}: no write to a file succeeds")


@click.command("empty-disk")
@click.argument("region", metavar="R")
@click.option("--journal-only", is_flag=True, help="What it had stored is lost, but not its identity.")
@DATA
def empty_disk(region: str, journal_only: bool, data_dir: Path) -> None:
    """Kill a region's node and empty its folder, as when a machine loses its disk. `start` joins it anew.

    Example: python -m cluster empty-disk eu-west-1
    """
    data = _cluster(data_dir, region)
    _obey(data, Fault(0, "empty-disk", region, journal_only=journal_only))
    lost = "its journal is" if journal_only else "everything in its folder is"
    click.echo(f"{region}: killed, and {lost} gone; `python -m cluster start {region}{data.flag}` brings it back")


@click.command()
@click.argument("region", metavar="[R1", required=False)
@click.argument("to", metavar="[R2]]", required=False)
@DATA
def heal(region: str | None, to: str | None, data_dir: Path) -> None:
    """End every fault of every link and region; what is wrong inside one region, whose links stay as they are; or the
    link between two. What is killed or paused stays so: `start` or `resume` it.

    Example: python -m cluster heal
    """
    from cluster import disturb

    data = _cluster(data_dir, *filter(None, (region, to)))
    left = asyncio.run(disturb.heal(data, region or "", to or ""))
    what = f"{region}: its links are as before, inside it is" if region else "every link and region is"
    what = f"{region} and {to}: the link is" if to else what
    click.echo(f"{what} well" + (f"; paused, and as before inside: {', '.join(left)}" if left else ""))


@click.command("fault-schedule")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the moments of crashes.")
@click.option("--leave", is_flag=True, help="Leave everything as it is at the end.")
@DATA
def fault_schedule(file: Path, seed: int, leave: bool, data_dir: Path) -> None:
    """Disturb a running cluster as a TOML file says, in its time. At the end, and after Ctrl-C, everything is healed,
    resumed and started again.

    Example: python -m cluster fault-schedule cluster/schedules/bad-day.toml
    """
    from cluster import fault_schedule

    data = _cluster(data_dir)
    schedule = fault_schedule.read(file, data.topology.regions)
    asyncio.run(fault_schedule.run(data, schedule, seed, leave=leave, say=click.echo))


VERBS = (pause, resume, partition, isolate, slow, lose, error_rate, brown_out, grey, stall, clock_offset, full_disk,
         empty_disk, heal, fault_schedule)  # fmt: skip


def _do(path: Path, fault: Fault, said: str) -> None:
    """One fault, told with what ends it. Raises ClusterError."""
    data = _cluster(path, *filter(None, (fault.region, fault.to)))
    _obey(data, fault)
    click.echo(f"{said}; `python -m cluster heal{data.flag}` ends it")


def _obey(data: DataDir, fault: Fault) -> None:
    from cluster import disturb

    asyncio.run(disturb.do(data, fault))


def _cluster(path: Path, *regions: str) -> DataDir:
    """The running cluster, which has these regions. Raises ClusterError."""
    data = find_with(path, *regions)
    if not any(control.is_alive(data.run, name) for name in data.names):
        raise ClusterError(f"nothing runs in {data.path}: is the cluster up?")
    return data
