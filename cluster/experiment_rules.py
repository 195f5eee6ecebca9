"""What a schema cannot say of an experiment file: members that must fit each other. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from cluster import cutoff_checks, experiment_windows, fault_records, finding, revocation_checks
from cluster.crowd import checks as crowd_checks
from cluster.history import labelled

_SECTIONS = {
    "revocations": revocation_checks.MEASURES.keys(),
    "cutoffs": cutoff_checks.MEASURES.keys(),
    "verifiers": crowd_checks.MEASURES.keys(),
}
"""What kinds of checks judge, and nothing else writes down."""
_MEASURED_AT = {"restart_s": "start", "received_ratio": "start", "reused_origins": "empty-disk"}
"""Kinds of checks that judge faults of one action and nothing else."""
_PER_PLACE = ("latency_ratio", "measured_to_table")
"""Kinds of checks with a verdict for each place, or pair of places."""


def mismatches(document: Mapping[str, Any]) -> Iterable[str]:
    """A line for each of them."""
    mistimed = [*_mistimed(document)]
    yield from mistimed
    yield from _unknown_words(document)
    yield from _twice(document)
    yield from _always_the_same(document)
    yield from _lacking(document)
    yield from _findings(document)
    if not mistimed:
        yield from experiment_windows.unmeasurable(document)


def _mistimed(document: Mapping[str, Any]) -> Iterable[str]:
    """Times that go back, or beyond the load of either form."""
    faults, steps, quick = document.get("faults", []), document["load"].get("steps", []), document["quick"]
    full_s = document["load"]["duration_s"]
    quick_s = quick.get("duration_s", full_s)
    for one, what, entries, member in (
        ("fault", "faults", faults, "at_s"),
        ("step", "load.steps", steps, "steps_at_s"),
    ):
        times = [entry["at_s"] for entry in entries]
        yield from fault_records.mistimed(what, one, times, full_s)
        yield from fault_records.mistimed(f"quick.{member}", one, quick.get(member, times), quick_s)
        if len(given := quick.get(member, entries)) != len(entries):
            yield f"quick.{member}: has {len(given)} times for {len(entries)} {what}; allowed is one for each"
    yield from _crashes(faults, full_s, quick, quick_s)
    for where, moments, load_s in (
        ("verifiers", document.get("verifiers", {}).get("moments", []), full_s),
        ("quick.verifiers", experiment_windows.moments_of_quick(document), quick_s),
    ):
        times = [moment["at_s"] for moment in moments]
        yield from fault_records.mistimed(f"{where}.moments", "moment", times, load_s)


def _findings(document: Mapping[str, Any]) -> Iterable[str]:
    """Sentences with a number that nothing measures, which would be left out without a word."""
    every = [variant["name"] for variant in document.get("variants", [{"name": ""}])]
    verdicts: list[str] = []
    for check in document["checks"]:
        place = f" ({check.get('location', finding.ANYWHERE)})" if check["kind"] in _PER_PLACE else ""
        arms = product(check["policies"], check.get("variants", every))
        verdicts += (f"{labelled(policy, variant)}: {check['name']}{place}" for policy, variant in arms)
    sentences = document.get("finding", ())
    for name in finding.unknown(sentences, verdicts):
        allowed = ", ".join(dict.fromkeys(check["name"] for check in document["checks"]))
        yield f"finding: no check measures {name}; allowed are {allowed}, each also behind its policy and variant"
    for sentence in finding.torn(sentences):
        yield f"finding: {sentence!r} has a brace of its own; allowed is a check's name in braces"


def _crashes(
    faults: Sequence[Mapping[str, Any]], full_s: float, quick: Mapping[str, Any], quick_s: float
) -> Iterable[str]:
    """Crashes come in either form, and those that end before the load does end in the quick form at a time of its
    own."""
    for where, fault in _places("faults", faults):
        yield from fault_records.crashless(where, fault, full_s)
    times = quick.get("at_s", [fault["at_s"] for fault in faults])
    for (where, fault), at_s in zip(_places("faults", faults), times, strict=False):
        yield from fault_records.crashless(f"quick: {where}", {**fault, "at_s": at_s}, quick_s)
    ending = [fault for fault in faults if "until_s" in fault]
    if ending and "until_s" not in quick:
        yield "quick: until_s is missing; needed is when its crashes end"
    if "until_s" in quick and not ending:
        yield "quick.until_s: no crash of the experiment ends before the load"
    for fault, at_s in zip(faults, times, strict=False):
        if "until_s" in fault and "until_s" in quick:
            yield from fault_records.too_short("quick", {**fault, "at_s": at_s, "until_s": quick["until_s"]})


def _unknown_words(document: Mapping[str, Any]) -> Iterable[str]:
    """Policies and variants that the experiment has not."""
    faults = document.get("faults", [])
    variants = [variant["name"] for variant in document.get("variants", [])]
    places = [*_places("faults", faults), *_places("checks", document["checks"]), ("quick", document["quick"])]
    for index, variant in enumerate(document.get("variants", [])):
        for policy in variant.get("policies", []):
            if policy not in document["policies"]:
                yield f"variants[{index}].policies: {policy} is not run; allowed are {', '.join(document['policies'])}"
    for where, one in places:
        for member, named in (("variants", one.get("variants", [])), ("than", [one["than"]] if "than" in one else [])):
            for variant in named:
                if variant not in variants:
                    allowed = ", ".join(variants) or "none"
                    yield f"{where}.{member}: {variant} is not compared; allowed are {allowed}"
    for index, check in enumerate(document["checks"]):
        for policy in check["policies"]:
            if policy not in document["policies"]:
                yield f"checks[{index}].policies: {policy} is not run; allowed are {', '.join(document['policies'])}"
        yield from _unrun(f"checks[{index}]", check, document.get("variants", []))


def _twice(document: Mapping[str, Any]) -> Iterable[str]:
    """Two variants of one name, and comparisons of which the quick form has one side only."""
    variants = [variant["name"] for variant in document.get("variants", [])]
    for index, name in enumerate(variants):
        if name in variants[:index]:
            yield f"variants[{index}].name: {name} is that of another variant; allowed is a name of its own"
    left = document["quick"].get("variants", variants)
    for where, check in _places("checks", document["checks"]):
        kept = [name for name in check.get("variants", variants) if name in left]
        if kept and check.get("quick", True) and check.get("than") not in (None, *left):
            yield (
                f"quick.variants: {check['than']} is missing, with which {where} compares {', '.join(kept)};"
                f" allowed are all that are compared, or quick = false of the check"
            )


def _always_the_same(document: Mapping[str, Any]) -> Iterable[str]:
    """Checks that hold or fail whatever happens, and quick forms without any."""
    variants = [variant["name"] for variant in document.get("variants", [])]
    for where, check in _places("checks", document["checks"]):
        judged = check.get("variants", variants)
        if check.get("than") in judged:
            others = ", ".join(name for name in variants if name not in judged) or "none"
            yield f"{where}.than: {check['than']} would be compared with itself; allowed are {others}"
        if check.get("at_least", -math.inf) > check.get("at_most", math.inf):
            most = check["at_most"]
            yield f"{where}.at_least: {check['at_least']:g} is more than at_most; allowed is at most {most:g}"
    left = {*document["quick"].get("variants", variants)} or {""}
    quick = [check for check in document["checks"] if check.get("quick", True)]
    if not any(left & {*check.get("variants", left)} for check in quick):
        yield "quick: no check is left in it; allowed is at least one without quick = false, of a variant that is left"


def _lacking(document: Mapping[str, Any]) -> Iterable[str]:
    """Members that mean nothing without another one."""
    for where, check in _places("checks", document["checks"]):
        for section, kinds in _SECTIONS.items():
            if check["kind"] in kinds and section not in document:
                yield f"{section}: is missing; {where} of kind {check['kind']} needs it"
    actions = {action for fault in document.get("faults", []) for action in fault_records.done(fault["action"])}
    for where, check in _places("checks", document["checks"]):
        action = _MEASURED_AT.get(check["kind"])
        if action is not None and action not in actions:
            yield f"{where}.kind: {check['kind']} is measured at a fault {action}, of which there is none"
    for where, fault in _places("faults", document.get("faults", [])):
        if fault["action"] == "upgrade" and "upgrade_from" not in document:
            yield f"upgrade_from: is missing; {where} of action upgrade needs it"
    quick = document["quick"]
    if "verifiers" in quick and "verifiers" not in document:
        yield "quick.verifiers: replaces nothing; allowed is none without verifiers"
    if "preloaded" in quick and "preloaded" not in document.get("revocations", {}):
        yield "quick.preloaded: replaces nothing; allowed is none without revocations.preloaded"
    for where, one in _named(document):
        if one.get("name") in (experiment_windows.BEGIN, experiment_windows.END):
            yield f"{where}.name: {one['name']} is what checks call the load's own; allowed is another name"


def _named(document: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Everything that a window of a check can begin or end at."""
    yield from _places("faults", document.get("faults", []))
    yield from _places("load.steps", document["load"].get("steps", []))
    yield from _places("verifiers.moments", document.get("verifiers", {}).get("moments", []))
    yield from _places("quick.verifiers.moments", document["quick"].get("verifiers", {}).get("moments", []))


def _unrun(where: str, check: Mapping[str, Any], variants: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """Policies of a check under which one of its variants is not run."""
    judged = {*check.get("variants", [variant["name"] for variant in variants]), check.get("than", "")}
    for variant in (one for one in variants if one["name"] in judged):
        for policy in check["policies"]:
            if policy not in variant.get("policies", [policy]):
                allowed = ", ".join(variant["policies"])
                yield f"{where}.policies: {variant['name']} is not run under {policy}; allowed are {allowed}"


def _places(name: str, entries: Sequence[Mapping[str, Any]]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    return ((f"{name}[{index}]", entry) for index, entry in enumerate(entries))
