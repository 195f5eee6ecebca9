"""What an experiment did, in words, from its parameters. Pure; what is missing in an old result is not told."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from cluster.report import rounds
from cluster.report.record import Record

NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
ACTIONS: Mapping[str, str] = {
    "kill": "kill {where}",
    "start": "start {where} again",
    "pause": "pause {where}",
    "resume": "let {where} go on",
    "partition": "cut {where}",
    "isolate": "cut {where} off from every other region",
    "slow": "slow {where} down by {ms:g} ms each way",
    "lose": "lose {share:.0%} of what passes {where}",
    "error-rate": "{where} answers {share:.0%} of its calls with {status}",
    "brown-out": "{where} takes {times:g} times as long and {ms:g} ms more",
    "grey": "{where} issues no session, and its health checks are fine",
    "stall": "{where} burns {ms:g} ms of CPU before each call",
    "capacity": "{where} serves {per_s:g} calls a second",
    "clock-offset": "the clock of {where} is {offset_s:+g} s off",
    "full-disk": "the disk of {where} is full",
    "empty-disk": "{where} is killed and loses its disk",
    "upgrade": "{where} is drained, ends and starts again in this version",
    "later-entry": "{where} records a revocation of a kind that only a later version knows",
    "crash": "kill {where} and start it at once, at a random moment of every {every_s:g} s from then on{until}",
}
AMOUNTS: Mapping[str, str] = {
    "slow": "ms",
    "lose": "share",
    "error-rate": "share",
    "stall": "ms",
    "capacity": "per_s",
    "clock-offset": "offset_s",
}
"""The member of which nothing ends a fault."""
NEUTRAL = {"ms": 0, "share": 0, "every_s": 0, "per_s": 0, "offset_s": 0, "times": 1, "status": 503}
MANY_REGIONS = "many-regions"
OTHER_COMMANDS: Mapping[str, str] = {
    MANY_REGIONS: "python -m cluster sim",
    "calibration": "python -m cluster experiment calibrate {out}",
}
"""What makes results that are not of an experiment's file."""
TOLD = {
    *("form", "backbone", "policies", "seeds", "variants", "load", "faults", "revocations", "cutoffs"),
    *("quick_checks", "quick_leaves_out", "simulated", "not_judged"),
    *("topology", "network", "upgrade_from"),
}
"""Parameters that the sentences below tell."""


def count(number: int, noun: str, plural: str = "") -> str:
    """`three regions`, `one region`, `17 regions`."""
    word = NUMBERS[number] if 0 < number < len(NUMBERS) else f"{number:,}"
    return f"{word} {noun if number == 1 else plural or noun + 's'}"


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def done(record: Record) -> Iterator[tuple[str, str]]:
    """Topology, load, faults and the rest: a word for each and a sentence."""
    told = (
        ("Topology", _topology(record.topology)),
        ("Compared", _compared(record.parameters)),
        ("Version before", _version_before(record.parameters)),
        ("Load", _load(record.parameters.get("load"))),
        ("Revocations", _revocations(record.parameters.get("revocations"))),
        ("Cut-offs", _cutoffs(record.parameters.get("cutoffs"))),
        ("Network", _network(record.parameters)),
        ("Faults", f"{'; '.join(phrases)}." if (phrases := faults(record)) else ""),
        ("Form", _form(record.parameters)),
        ("Time", _virtual(record.parameters)),
        ("Also set", _others(record.parameters)),
    )
    return ((word, sentence) for word, sentence in told if sentence)


def _topology(topology: Mapping[str, Any]) -> str:
    regions, places = topology.get("regions"), topology.get("locations")
    if not isinstance(regions, list) or not regions:
        return ""
    where = listed([f"{region} (home)" if region == topology.get("home") else str(region) for region in regions])
    clients = f"; clients in {count(len(places), 'place')}" if isinstance(places, list) and places else ""
    if clients and len(places or ()) > len(regions):
        clients += f": {listed(list(map(str, places or ())))}"
    return f"{topology.get('name', 'unnamed')}: {count(len(regions), 'region')}, {where}{clients}."


def _compared(parameters: Mapping[str, Any]) -> str:
    policies = parameters.get("policies") or []
    variants = [str(variant.get("name")) for variant in parameters.get("variants") or [] if variant.get("name")]
    said = []
    if policies:
        said.append(f"router {'policy' if len(policies) == 1 else 'policies'} {listed(list(map(str, policies)))}")
    if variants:
        said.append(f"variants {listed(variants)}")
    seeds = parameters.get("seeds")
    if isinstance(seeds, int):
        said.append(count(seeds, "seed"))
    each = ", each on a cluster of its own" if len(policies) + len(variants) > 1 or (seeds or 1) > 1 else ""
    return f"{'; '.join(said)}{each}.".capitalize() if said else ""


def _version_before(parameters: Mapping[str, Any]) -> str:
    if not (commit := parameters.get("upgrade_from")):
        return ""
    return f"Every node is at first of commit {short_commit(str(commit))}; an upgrade makes it one of this version."


def _load(load: Any) -> str:
    if not isinstance(load, Mapping) or not load.get("arrivals_per_s"):
        return ""
    regional = {"own": " and at the nearest regional one", "all": " and at every regional one", "none": ""}
    endpoints = f"the global endpoint{regional.get(str(load.get('regional')), '')}"
    each = load["arrivals_per_s"]
    rate = f"{each:g} request{'' if each == 1 else 's'} a second from each place at {endpoints}"
    operations = f", {listed(list(map(str, load['operations'])))} in turn by chance" if load.get("operations") else ""
    times = f", for {load.get('duration_s', 0):g} s after {load.get('warm_up_s', 0):g} s of warm-up"
    timeout = f"; given up after {load['timeout_s']:g} s" if "timeout_s" in load else ""
    steps = "".join(
        f" From {step['at_s']:g} s on {step['times']:g} times as many ({step['name']})."
        for step in load.get("steps") or ()
    )
    return f"{str(load.get('kind', 'open')).capitalize()} load, {rate}{operations}{times}{timeout}.{steps}"


def _revocations(settings: Any) -> str:
    if not isinstance(settings, Mapping) or "per_s" not in settings:
        return ""
    filled = settings.get("preloaded") or 0
    before = f" {filled:,} were in the journals before." if filled else ""
    return f"{settings['per_s']:g} sessions a second made and revoked in each region.{before}"


def _cutoffs(settings: Any) -> str:
    if not isinstance(settings, Mapping) or not settings.get("after_s"):
        return ""
    moments = listed([f"{after_s:g}" for after_s in settings["after_s"]])
    return (
        f"Every {settings.get('every_s', 0):g} s a session in each region, which one region after the other cuts off,"
        f" and more sessions {moments} s later; every region says of each whether it accepts it."
    )


def _network(parameters: Mapping[str, Any]) -> str:
    if parameters.get("network") != "netns":
        return ""
    return (
        "A namespace for each region and an IP router between them; what clients are away is the failover router's."
        " Messages between nodes are packets, those that confirm others among them."
    )


def faults(record: Record) -> list[str]:
    """What was disturbed, in order: a phrase for each fault, and one for all that comes again and again."""
    joined = rounds.joined(record.parameters.get("faults") or (), record.topology.get("regions") or ())
    found = rounds.found([(fault.get("at_s", 0), fault_words(fault)) for fault in joined])
    return [_again(one) if one.times > 1 else "at {:g} s {}".format(*one.entries[0]) for one in found]


def _again(one: rounds.Round) -> str:
    """`eight times, every 18 s from 100 s on: cut every link between regions, 12.5 s later heal everything`."""
    said = f"{count(one.times, 'time')}, every {one.every_s:g} s from {one.entries[0][0]:g} s on: {one.entries[0][1]}"
    for (before_s, _), (at_s, told) in pairwise(one.entries):
        gap_s = round(at_s - before_s, 3)
        said += f", {f'{gap_s:g} s later' if gap_s else 'and'} {told}"
    return said


def fault_words(fault: Mapping[str, Any]) -> str:
    """One fault; an action that has no sentence here is told by its members."""
    action, region, to = (str(fault.get(name) or "") for name in ("action", "region", "to"))
    where = f"{region} {'to' if fault.get('one_way') else 'and'} {to}" if to else region or "a random region"
    variants = fault.get("variants") or []
    where_told = f" (variants {listed(list(map(str, variants)))})" if variants else ""
    if action == "heal":
        return (f"heal {where}" if region else "heal everything") + where_told
    if action == "isolate" and not region:
        return f"cut every link between regions{where_told}"
    if ends(fault):
        return f"end {action} of {where}{where_told}"
    if action in ACTIONS:
        given = {name: value for name, value in fault.items() if value is not None}
        until = f" until {given['until_s']:g} s" if "until_s" in given else ""
        return ACTIONS[action].format_map(NEUTRAL | given | {"where": where, "until": until}) + where_told
    told = ("action", "at_s", "region", "to", "one_way", "name", "variants")
    rest = ", ".join(
        f"{name} {_shown(value)}" for name, value in fault.items() if name not in told and value not in (None, 0, False)
    )
    return f"{action} {where if region else ''}".strip() + (f" ({rest})" if rest else "") + where_told


def ends(fault: Mapping[str, Any]) -> bool:
    """Whether its amount is nothing: it ends one of its kind."""
    amount = AMOUNTS.get(str(fault.get("action")))
    return amount is not None and amount in fault and not fault[amount]


def _form(parameters: Mapping[str, Any]) -> str:
    if parameters.get("form") != "quick":
        return "Full." if parameters.get("form") == "full" else ""
    checks, leaves_out = parameters.get("quick_checks"), parameters.get("quick_leaves_out")
    return f"Quick: {checks}. It leaves out {leaves_out}." if checks and leaves_out else "Quick."


def _virtual(parameters: Mapping[str, Any]) -> str:
    if not parameters.get("simulated"):
        return ""
    left_out = parameters.get("not_judged") or {}
    return "Virtual, no processes." + (f" Not judged there: {'; '.join(map(_shown, left_out))}." if left_out else "")


def _others(parameters: Mapping[str, Any]) -> str:
    """Parameters that came later than these sentences."""
    return "; ".join(f"{name} {_shown(value)}" for name, value in parameters.items() if name not in TOLD and value)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({', '.join(f'{name} {_shown(one)}' for name, one in value.items())})"
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def command(record: Record, out: str = "out/") -> str:
    """What repeats the experiment; a newcomer can paste it."""
    return command_with(record.name, options(record), out)


def command_with(name: str, given: Iterable[str], out: str = "out/") -> str:
    """What makes one result again, with the options that it was made with."""
    if name in OTHER_COMMANDS:
        return " ".join([OTHER_COMMANDS[name].format(out=out), *given, "--out", out])
    return run_command([name], given, out)


def run_command(names: Iterable[str], given: Iterable[str], out: str = "out/") -> str:
    """What runs experiments with these options."""
    return " ".join(["python -m cluster experiment run", *map(shlex.quote, names), *given, "--out", out])


def options(record: Record) -> tuple[str, ...]:
    """The options that the experiment was run with."""
    nodes = record.parameters.get("nodes_per_region")
    if record.name == MANY_REGIONS:
        return (*_sizes(len(record.topology.get("regions") or ()), nodes), "--seed", str(record.seed))
    if record.name in OTHER_COMMANDS:
        return ()
    words = ["--quick"] if record.quick else []
    words += ["--seed", str(record.seed)]
    backbone = record.parameters.get("backbone", "http")
    words += [] if backbone == "http" else ["--backbone", shlex.quote(str(backbone))]
    words += _asked(record.parameters)
    words += (
        ["--simulate", *_sizes(record.parameters.get("regions"), nodes)] if record.parameters.get("simulated") else []
    )
    return tuple(words)


def _sizes(regions: float | None, nodes: float | None) -> list[str]:
    """The options for how large it was, if another size than its own was asked for."""
    words = ["--regions", str(int(regions))] if regions else []
    return [*words, "--nodes", str(int(nodes))] if nodes else words


def _asked(parameters: Mapping[str, Any]) -> list[str]:
    """The options for where it was run, if that is another place than the experiment's own."""
    network = parameters.get("network", "inproc")
    words = ["--topology", shlex.quote(str(parameters["topology"]))] if parameters.get("topology") else []
    return words if network == "inproc" else [*words, "--network", shlex.quote(str(network))]


def short_commit(commit: str) -> str:
    """Its first twelve letters, and whether files differed from it."""
    return commit.removesuffix("-dirty")[:12] + ("-dirty" if commit.endswith("-dirty") else "")


def when(instant: int) -> str:
    """An instant in Unix seconds, in UTC."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M UTC")


def cell(value: Any) -> str:
    """One cell of a series for people."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


def heading(column: str) -> str:
    """A column's name with its unit apart: `p99_ms` is `p99, ms`."""
    if column.endswith("_per_s"):
        return f"{column.removesuffix('_per_s').replace('_', ' ')} per second"
    stem, _, unit = column.rpartition("_")
    if stem and unit in ("ms", "s", "mb"):
        return f"{stem.replace('_', ' ')}, {unit}"
    return column.replace("_", " ")


def validity(record: Record) -> str:
    """Whether a result can be believed; why it cannot is what its answer begins with, and is not said again."""
    if record.valid:
        return "Valid: nothing made its numbers doubtful."
    return "The answer begins with why." if record.answer.startswith("Not valid: ") else ""
