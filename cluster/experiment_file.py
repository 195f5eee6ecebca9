"""Reads an experiment from its TOML text; every member is checked and an unknown one is a fault. Pure.

| member | meaning |
|---|---|
| `number`, `name`, `question` | E1, its slug, and what is to be found out |
| `latency` | true when its checks judge times: then idle CPU and generator lag decide whether a run is valid |
| `topology`, `policies` | a topology of `cluster/topologies`; one cluster is started per router policy and seed |
| `tied` | why it means nothing on another topology, if that is so: `run --topology` refuses it |
| `[[variants]]` | what is compared, each on clusters of its own: `name`, `clients` (see `behaviour`), `verifiers` (see
  `crowd`), `engine` (one of `engines`), `without` (parts of the router, see `router_config`),
  `dns_ttl_s` (of its policy `dns`), `front` (what stands in the router's place, see `haproxy_files`; only on real
  processes), `policies` (those of the experiment's that it is run under, all unless given) |
| `upgrade_from` | the commit of which every node is at first; `upgrade` makes one of them new |
| `[load]` | `kind` open: `arrivals_per_s` requests arrive from each location at each endpoint, whatever the service
  does, none at all if it is 0; `regional` is `own` (the nearest), `all` or `none`; `warm_up_s`, `duration_s`,
  `timeout_s`; `operations`, drawn evenly |
| `[[load.steps]]` | from `at_s` on `times` as many arrive as `arrivals_per_s`; `name`, by which checks tell it |
| `[[faults]]` | `at_s`, `action` and its members (see `fault_records`); `name`, by which checks tell faults of one
  action apart; `variants`, if it does not come in all of them |
| `[revocations]` | sessions made and revoked in each region: `per_s`, `settle_s` after the last one, and how many
  revocations there are before it all, in all regions together (`preloaded`) |
| `[cutoffs]` | a round begins every `every_s`, one region after the other: a session in each region, a cut-off of
  them, more sessions `after_s` its answer; all are asked about again `settle_s` after the load |
| `finding` | the answer, sentence by sentence, with what checks measured in braces (see `finding`) |
| `[verifiers]` | `count` of them at the home region's node, each called `calls` times at once at each of `[[moments]]`
  (`name`, `at_s`, `key` of the token: `published` or `unknown`); `spread_s`, `keys_age_s`; `[quick.verifiers]` replaces
  some |
| `[[checks]]` | `kind` and its members (see `checks`); `quick = false` leaves a check out of the quick form,
  `backbone` out of runs on another one |
| `seeds` | how many seeds a full run takes, from the given one on |
| `[quick]` | what the quick form changes: `topology`, `seeds`, `arrivals_per_s`, `warm_up_s`, `duration_s`, times of
  faults `at_s` and of steps `steps_at_s`, when crashes end that end before the load (`until_s`), `preloaded`, the
  `variants` that are left; and in words what it still checks (`checks`) and what it does not (`leaves_out`) |

"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cluster import experiment_rules, fault_records, routing, toml_shape
from cluster.behaviour import BEHAVIOURS
from cluster.checks import KINDS, Check
from cluster.crowd import KINDS as VERIFIER_KINDS
from cluster.engines import ENGINES
from cluster.experiment import (
    Cutoffs,
    Experiment,
    ExperimentError,
    Load,
    Moment,
    Quick,
    Revoking,
    Step,
    Variant,
    Verifiers,
)
from cluster.fault_records import Fault
from cluster.haproxy_files import FRONTS
from cluster.router_config import PARTS
from cluster.toml_shape import POSITIVE, SECONDS, TEXT
from cluster.topology import BACKBONES

OPERATIONS = ("AssumeRole", "GetCallerIdentity", "verify")
STEP_TIMES_MAX = 100
"""Arrivals are drawn at the highest rate that any step has; more would be nothing but drawing."""
CUTOFFS_EVERY_S_MIN = 0.1
"""Every round calls every region several times, and ten of them begin a second then."""
_RATE = {"type": "number", "exclusiveMinimum": 0, "maximum": 200}
_COUNT = {"type": "integer", "minimum": 1, "maximum": 100}
_PRELOADED = {"type": "integer", "minimum": 0, "maximum": 1_000_000}
_POLICY = {"enum": sorted(routing.POLICIES)}
_MOMENT = toml_shape.table({"name": TEXT, "at_s": SECONDS}, {"key": {"enum": ["published", "unknown"]}})
_VERIFIERS = {
    "count": {"type": "integer", "minimum": 1, "maximum": 10_000},
    "calls": _COUNT,
    "spread_s": POSITIVE,
    "keys_age_s": POSITIVE,
    "moments": {"type": "array", "items": _MOMENT, "minItems": 1},
}
_SCHEMA = toml_shape.table(
    {
        "number": {"type": "string", "pattern": r"\AE[0-9]{1,4}\Z", "description": "E and one to four digits"},
        "name": {
            "type": "string",
            "pattern": r"\A[a-z]+(-[a-z]+)*\Z",
            "maxLength": 60,
            "description": "words of small letters with - between them",
        },
        "question": TEXT,
        "latency": {"type": "boolean"},
        "topology": TEXT,
        "policies": {"type": "array", "items": _POLICY, "minItems": 1, "uniqueItems": True},
        "seeds": _COUNT,
        "load": toml_shape.table(
            {
                "kind": {"enum": ["open"]},
                "operations": {"type": "array", "items": {"enum": list(OPERATIONS)}, "minItems": 1},
                "regional": {"enum": ["own", "all", "none"]},
                "arrivals_per_s": {"type": "number", "minimum": 0, "maximum": 200},
                "warm_up_s": SECONDS,
                "duration_s": POSITIVE,
                "timeout_s": POSITIVE,
            },
            {
                "steps": {
                    "type": "array",
                    "items": toml_shape.table(
                        {
                            "at_s": SECONDS,
                            "times": {"type": "number", "minimum": 0, "maximum": STEP_TIMES_MAX},
                            "name": TEXT,
                        }
                    ),
                }
            },
        ),
        "checks": {"type": "array", "items": {"type": "object"}, "minItems": 1},
        "quick": toml_shape.table(
            {"checks": TEXT, "leaves_out": TEXT},
            {
                "topology": TEXT,
                "seeds": _COUNT,
                "arrivals_per_s": _RATE,
                "warm_up_s": SECONDS,
                "duration_s": POSITIVE,
                "until_s": POSITIVE,
                "at_s": {"type": "array", "items": SECONDS},
                "steps_at_s": {"type": "array", "items": SECONDS},
                "variants": {"type": "array", "items": TEXT, "minItems": 1},
                "verifiers": toml_shape.table({}, _VERIFIERS),
                "preloaded": _PRELOADED,
            },
        ),
    },
    {
        "tied": TEXT,
        "upgrade_from": {
            "type": "string",
            "pattern": r"\A[0-9a-f]{7,40}\Z",
            "description": "a commit, in 7 to 40 hexadecimal digits",
        },
        "finding": {"type": "array", "items": TEXT, "minItems": 1},
        "verifiers": toml_shape.table(_VERIFIERS),
        "variants": {
            "type": "array",
            "items": toml_shape.table(
                {
                    "name": {
                        "type": "string",
                        "pattern": r"\A[a-z0-9][a-z0-9 .-]*\Z",
                        "description": "small letters, digits, spaces, . and -, the first a letter or digit",
                    }
                },
                {
                    "clients": {"enum": sorted(BEHAVIOURS)},
                    "verifiers": {"enum": list(VERIFIER_KINDS)},
                    "engine": {"enum": list(ENGINES)},
                    "without": {"type": "array", "items": {"enum": [*PARTS]}},
                    "front": {"enum": [*FRONTS]},
                    "policies": {"type": "array", "items": _POLICY, "minItems": 1, "uniqueItems": True},
                    "dns_ttl_s": {"type": "number", "minimum": 0, "maximum": 86_400},
                },
            ),
            "minItems": 2,
        },
        "faults": {"type": "array"},
        "cutoffs": toml_shape.table(
            {
                "every_s": {"type": "number", "minimum": CUTOFFS_EVERY_S_MIN, "maximum": toml_shape.LONGEST_S},
                "after_s": {"type": "array", "items": SECONDS, "minItems": 1, "uniqueItems": True},
                "settle_s": SECONDS,
            }
        ),
        "revocations": toml_shape.table({"per_s": _RATE, "settle_s": SECONDS}, {"preloaded": _PRELOADED}),
    },
)
FAULT_MEMBERS = {"name": TEXT, "variants": {"type": "array", "items": TEXT, "minItems": 1}}
"""What faults of an experiment have beside their own members."""
_CHECK_MEMBERS = {
    "kind": {"enum": sorted(KINDS)},
    "name": TEXT,
    "quick": {"type": "boolean"},
    "backbone": {"enum": list(BACKBONES)},
    "policies": {"type": "array", "items": _POLICY, "minItems": 1},
    "variants": {"type": "array", "items": TEXT, "minItems": 1},
    "than": TEXT,
    "location": TEXT,
    "endpoint": {"enum": ["global", "regional"]},
    "region": TEXT,
    "not_region": TEXT,
    "origin": TEXT,
    "observer": TEXT,
    "since": TEXT,
    "until": TEXT,
    "pair_ms": SECONDS,
    "operations": {"type": "array", "items": TEXT, "minItems": 1},
    "level": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    "within_ms": POSITIVE,
    "at_least": {"type": "number"},
    "at_most": {"type": "number"},
}


_COMMON = ("kind", "name", "quick", "backbone", "policies", "variants", "than")


def parse(text: str, source: str) -> Experiment:
    """The experiment of a TOML text. Raises ExperimentError with every fault; `source` is what they call the file."""
    try:
        document = toml_shape.document(text)
    except toml_shape.TomlError as error:
        raise ExperimentError(f"{source}: {fault}" for fault in error.faults) from error
    faults = dict.fromkeys(_faults(document))
    if faults:
        raise ExperimentError(f"{source}: {fault}" for fault in faults)
    return _build(document)


def _faults(document: Mapping[str, Any]) -> Iterable[str]:
    found = [*toml_shape.faults(_SCHEMA, document)]
    found += fault_records.faults(document.get("faults", []), FAULT_MEMBERS)
    found += _check_faults(document.get("checks"))
    return found or experiment_rules.mismatches(document)


def _check_faults(checks: Any) -> list[str]:
    found: list[str] = []
    for index, check in enumerate(checks if isinstance(checks, list) else []):
        if not isinstance(check, dict):
            continue
        kind = KINDS.get(str(check.get("kind")))
        known = {*_CHECK_MEMBERS} if kind is None else {*_COMMON, *kind.required, *kind.allowed}
        needed = ("kind", "name", "policies") if kind is None else ("kind", "name", "policies", *kind.required)
        schema = toml_shape.table({m: _CHECK_MEMBERS[m] for m in needed}, {m: _CHECK_MEMBERS[m] for m in sorted(known)})
        found += toml_shape.faults(schema, check, f"checks[{index}]")
        if kind is not None and not {"at_least", "at_most"} & check.keys():
            found.append(f"checks[{index}]: nothing is required; allowed are at_least and at_most")
    return found


def _build(document: Mapping[str, Any]) -> Experiment:
    faults = tuple(Fault.of(fault) for fault in document.get("faults", []))
    verifiers = document.get("verifiers")
    variants = tuple(_variant(variant) for variant in document.get("variants", [{}]))
    every = {"variants": [variant.name for variant in variants]}
    return Experiment(
        number=document["number"],
        name=document["name"],
        question=document["question"],
        latency=document["latency"],
        topology=document["topology"],
        policies=tuple(document["policies"]),
        seeds=document["seeds"],
        load=_load(document["load"]),
        faults=faults,
        checks=tuple(Check.of(every | check) for check in document["checks"]),
        quick=_quick(document, faults, every["variants"]),
        verifiers=None if verifiers is None else _verifiers(verifiers),
        cutoffs=_cutoffs(document["cutoffs"]) if "cutoffs" in document else None,
        revoking=Revoking(**document["revocations"]) if "revocations" in document else None,
        variants=variants,
        tied=document.get("tied", ""),
        upgrade_from=document.get("upgrade_from", ""),
        finding=tuple(document.get("finding", ())),
    )


def _variant(members: Mapping[str, Any]) -> Variant:
    lists = {member: tuple(members.get(member, ())) for member in ("without", "policies")}
    return Variant(**{**members, **lists})


def _cutoffs(members: Mapping[str, Any]) -> Cutoffs:
    return Cutoffs(**{**members, "after_s": tuple(sorted(members["after_s"]))})


def _verifiers(members: Mapping[str, Any]) -> Verifiers:
    return Verifiers(**{**members, "moments": tuple(Moment(**moment) for moment in members["moments"])})


def _quick(document: Mapping[str, Any], faults: Sequence[Fault], variants: Sequence[str]) -> Quick:
    quick = document["quick"]
    return Quick(
        topology=quick.get("topology", document["topology"]),
        seeds=quick.get("seeds", document["seeds"]),
        load=_load(document["load"] | quick, quick.get("steps_at_s")),
        at_s=tuple(map(float, quick.get("at_s", [fault.at_s for fault in faults]))),
        checks=quick["checks"],
        leaves_out=quick["leaves_out"],
        preloaded=quick.get("preloaded", document.get("revocations", {}).get("preloaded", 0)),
        crashes_until_s=quick.get("until_s"),
        variants=tuple(quick.get("variants", variants)),
        verifiers=_verifiers(document["verifiers"] | quick.get("verifiers", {})) if "verifiers" in document else None,
    )


def _load(members: Mapping[str, Any], steps_at_s: Sequence[float] | None = None) -> Load:
    steps = [Step(**{**step, "at_s": float(step["at_s"])}) for step in members.get("steps", [])]
    times = [step.at_s for step in steps] if steps_at_s is None else steps_at_s
    return Load(
        operations=tuple(members["operations"]),
        regional=members["regional"],
        arrivals_per_s=float(members["arrivals_per_s"]),
        warm_up_s=float(members["warm_up_s"]),
        duration_s=float(members["duration_s"]),
        timeout_s=float(members["timeout_s"]),
        steps=tuple(replace(step, at_s=float(at_s)) for step, at_s in zip(steps, times, strict=True)),
    )
