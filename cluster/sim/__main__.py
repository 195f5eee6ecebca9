"""python -m cluster.sim: simulate for some minutes, tell what was seen, exit 1 if anything forbidden was (I/O)."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from time import process_time

from cluster import files, topology
from cluster.experiment_console import commit
from cluster.sim.campaign import MEASURED_REGIONS, Campaign, live
from cluster.sim.convergence import Convergence, delays, measure
from cluster.sim.invariants import InvariantBroken

MEASURING_SHARE = 0.4
"""Of the time, for measuring convergence; the rest is for faults."""
EXAMPLE = """\
example:
  python -m cluster.sim --minutes 1 --seed 7 --json out/simulation.json
  python -m cluster.sim --minutes 1 --samples 20000 --json out/simulation.json    # about six minutes more
  python -m cluster.sim --replay 12          # the world of seed 12 again, to its last event

The JSON's keys are explained in cluster/sim/campaign.py.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes as everywhere: 0 fine, 1 something forbidden happened, 2 bad usage."""
    parser = argparse.ArgumentParser(
        prog="python -m cluster.sim",
        description="Simulates replicating nodes in virtual time, with faults of every kind, and checks what holds.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=_minutes, default=1.0, help="CPU minutes to spend (default 1)")
    parser.add_argument("--samples", type=_count, default=0, help="go on until convergence has so many in each row")
    parser.add_argument("--seed", type=_count, default=0, help="the first seed; the next worlds have the next ones")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    parser.add_argument("--replay", type=_count, metavar="SEED", help="run the one world of this seed")
    sizes = MEASURED_REGIONS
    parser.add_argument("--regions", type=int, choices=sizes, help="with --replay: a measurement of so many regions")
    given = parser.parse_args(arguments)
    campaign = _campaign(given.seed)
    if given.replay is not None:
        return _replay(campaign, given.replay, given.regions)
    if given.regions is not None:
        parser.error("--regions: give it with --replay")
    spend(campaign, given.minutes)
    campaign.measure_until(given.samples)
    result = campaign.result(given.minutes, commit())
    if given.json is not None:
        try:
            given.json.parent.mkdir(parents=True, exist_ok=True)
            given.json.write_text(json.dumps(result, indent=1) + "\n")
        except OSError as error:
            print(f"--json {given.json}: cannot be written: {error.strerror}", file=sys.stderr)
            return 2
    print(json.dumps(result, indent=1))
    for broken in campaign.broken:
        print(broken["text"], file=sys.stderr)
    return 1 if campaign.broken else 0


def spend(campaign: Campaign, minutes: float) -> None:
    """Use up so much CPU time; at least one world and one measurement are made."""
    started = process_time()
    measuring_s = 0.0
    while not campaign.worlds or process_time() - started < minutes * 60:
        began = process_time()
        if not campaign.convergence or measuring_s < MEASURING_SHARE * (began - started):
            campaign.next_measurement()
            measuring_s += process_time() - began
        else:
            campaign.next_world()


def _campaign(seed: int) -> Campaign:
    text = files.RTT_FILE.read_text()
    named = json.loads(text)["default_experiment_regions"]
    first = ("us-east-1", "eu-west-1", "ap-southeast-1")  # of every cluster that starts without a topology
    regions = (*first, *(region for region in named if region not in first))
    return Campaign(seed, regions, topology.parse_rtt_table(text))


def _replay(campaign: Campaign, seed: int, regions: int | None) -> int:
    try:
        if regions is None:
            world = live(seed)
        else:
            world = measure(seed, campaign.regions[:regions], delays(campaign.table), Convergence(regions))
    except InvariantBroken as broken:
        print(broken, file=sys.stderr)
        return 1
    print(
        f"seed {seed}: nothing forbidden in {world.scheduler.now:.0f} s with {sum(world.tally.faults.values())} faults"
    )
    return 0


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0 <= minutes <= 10_000:
        raise argparse.ArgumentTypeError("give a number of minutes from 0 to 10000")
    return minutes


def _count(text: str) -> int:
    seed = int(text)
    if seed < 0:
        raise argparse.ArgumentTypeError("give a number from 0 up")
    return seed


if __name__ == "__main__":
    sys.exit(main())
