"""Reads an experiment from its TOML text; every member is checked and an unknown one is a fault. Pure.

| member | meaning |
|---|---|
| `number`, `name`, `question` | E1, its slug, and what is to be found out |
| `latency` | true when its checks judge times: then idle CPU and generator lag decide whether a run is valid |
| `topology`, `policies` | a topology of `cluster/topologies`; one cluster is started per router policy and seed |
| `[[variants]]` | what is compared, each on clusters of its own: `name`, `clients` (a behaviour of `behaviour`) |
| `[load]` | `kind` open: `arrivals_per_s` requests arrive from each location at each endpoint, whatever the service
  does; `regional` is `own` (the nearest), `all` or `none`; `warm_up_s`, `duration_s`, `timeout_s`; `operations`, drawn
  evenly |
| `[[load.steps]]` | from `at_s` on `times` as many arrive as `arrivals_per_s`; `name`, by which checks tell it |
| `[[faults]]` | `at_s`, `action`; `region` for kill, start, pause and resume; `region` and `to` for partition
  (`one_way`), slow (`ms`) and lose (`share`); nothing for heal; `every_s` for crash, a kill and a start of `region` or
  of a random one, again and again; capacity (`region`, `per_s`, `queue_ms`; see `stsd.server.capacity`); `name`, by
  which checks tell faults of one action apart; `variants`, if it does not come in all of them |
| `[revocations]` | sessions made and revoked in each region: `per_s`, `settle_s` after the last one, and how many
  revocations there are before it all, in all regions together (`preloaded`) |
| `finding` | the answer, sentence by sentence, with what checks measured in braces (see `finding`) |
| `[[checks]]` | `kind` and its members (see `checks`); `quick = false` leaves a check out of the quick form,
  `backbone` out of runs on another one |
| `seeds` | how many seeds a full run takes, from the given one on |
| `[quick]` | what the quick form changes: `topology`, `seeds`, `arrivals_per_s`, `warm_up_s`, `duration_s`, times of
  faults `at_s` and of steps `steps_at_s`, `preloaded`, the `variants` that are left; and in words what it still checks
  (`checks`) and what it does not (`leaves_out`) |

"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from cluster import finding, routing
from cluster.behaviour import BEHAVIOURS
from cluster.checks import KINDS, Check
from cluster.experiment import Experiment, ExperimentError, Fault, Load, Quick, Revoking, Step, Variant
from cluster.topology import BACKBONES

OPERATIONS = ("AssumeRole", "GetCallerIdentity", "verify")
NEEDS: Mapping[str, tuple[str, ...]] = {
    "kill": ("region",),
    "start": ("region",),
    "pause": ("region",),
    "resume": ("region",),
    "partition": ("region", "to"),
    "slow": ("region", "to", "ms"),
    "lose": ("region", "to", "share"),
    "heal": (),
    "crash": ("every_s",),
    "capacity": ("region", "per_s"),
}
"""The members that each action cannot do without."""
ACTIONS = tuple(NEEDS)


def _object(required: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> dict[str, Any]:
    properties = {**required, **(optional or {})}
    return {"type": "object", "properties": properties, "required": [*required], "additionalProperties": False}


_TEXT = {"type": "string", "minLength": 1}
_SECONDS = {"type": "number", "minimum": 0}
_POSITIVE = {"type": "number", "exclusiveMinimum": 0}
_RATE = {"type": "number", "exclusiveMinimum": 0, "maximum": 200}
_COUNT = {"type": "integer", "minimum": 1, "maximum": 100}
_PRELOADED = {"type": "integer", "minimum": 0, "maximum": 1_000_000}
_POLICY = {"enum": sorted(routing.POLICIES)}
_SCHEMA = _object(
    {
        "number": {"type": "string", "pattern": "^E[0-9]+$"},
        "name": {"type": "string", "pattern": "^[a-z]+(-[a-z]+)*$"},
        "question": _TEXT,
        "latency": {"type": "boolean"},
        "topology": _TEXT,
        "policies": {"type": "array", "items": _POLICY, "minItems": 1, "uniqueItems": True},
        "seeds": _COUNT,
        "load": _object(
            {
                "kind": {"enum": ["open"]},
                "operations": {"type": "array", "items": {"enum": list(OPERATIONS)}, "minItems": 1},
                "regional": {"enum": ["own", "all", "none"]},
                "arrivals_per_s": _RATE,
                "warm_up_s": _SECONDS,
                "duration_s": _POSITIVE,
                "timeout_s": _POSITIVE,
            },
            {
                "steps": {
                    "type": "array",
                    "items": _object({"at_s": _SECONDS, "times": {"type": "number", "minimum": 0}, "name": _TEXT}),
                }
            },
        ),
        "checks": {"type": "array", "items": {"type": "object"}, "minItems": 1},
        "quick": _object(
            {"checks": _TEXT, "leaves_out": _TEXT},
            {
                "topology": _TEXT,
                "seeds": _COUNT,
                "arrivals_per_s": _RATE,
                "warm_up_s": _SECONDS,
                "duration_s": _POSITIVE,
                "at_s": {"type": "array", "items": _SECONDS},
                "steps_at_s": {"type": "array", "items": _SECONDS},
                "variants": {"type": "array", "items": _TEXT, "minItems": 1},
                "preloaded": _PRELOADED,
            },
        ),
    },
    {
        "finding": {"type": "array", "items": _TEXT, "minItems": 1},
        "variants": {
            "type": "array",
            "items": _object(
                {"name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9 .-]*$"}},
                {"clients": {"enum": sorted(BEHAVIOURS)}},
            ),
            "minItems": 2,
        },
        "faults": {
            "type": "array",
            "items": _object(
                {"at_s": _SECONDS, "action": {"enum": list(ACTIONS)}},
                {
                    "region": _TEXT,
                    "to": _TEXT,
                    "one_way": {"type": "boolean"},
                    "name": _TEXT,
                    "ms": _SECONDS,
                    "share": {"type": "number", "minimum": 0, "maximum": 1},
                    "per_s": _SECONDS,
                    "queue_ms": _POSITIVE,
                    "variants": {"type": "array", "items": _TEXT, "minItems": 1},
                    "every_s": _POSITIVE,
                },
            ),
        },
        "revocations": _object({"per_s": _RATE, "settle_s": _SECONDS}, {"preloaded": _PRELOADED}),
    },
)
_CHECK_MEMBERS = {
    "kind": {"enum": sorted(KINDS)},
    "name": _TEXT,
    "quick": {"type": "boolean"},
    "backbone": {"enum": list(BACKBONES)},
    "policies": {"type": "array", "items": _POLICY, "minItems": 1},
    "variants": {"type": "array", "items": _TEXT, "minItems": 1},
    "than": _TEXT,
    "location": _TEXT,
    "endpoint": {"enum": ["global", "regional"]},
    "region": _TEXT,
    "not_region": _TEXT,
    "origin": _TEXT,
    "observer": _TEXT,
    "since": _TEXT,
    "until": _TEXT,
    "pair_ms": _SECONDS,
    "level": {"type": "number", "minimum": 0, "maximum": 1},
    "at_least": {"type": "number"},
    "at_most": {"type": "number"},
}


_COMMON = ("kind", "name", "quick", "backbone", "policies", "variants", "than")


def parse(text: str, source: str) -> Experiment:
    """The experiment of a TOML text. Raises ExperimentError with every fault; `source` is what they call the file."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ExperimentError([f"{source}: not TOML: {error}"]) from error
    faults = [*_faults(document)]
    if faults:
        raise ExperimentError(f"{source}: {fault}" for fault in faults)
    return _build(document)


def _faults(document: Mapping[str, Any]) -> Iterable[str]:
    found = [_line(error) for error in Draft202012Validator(_SCHEMA).iter_errors(document)]
    found += _check_faults(document.get("checks"))
    return found or _mismatches(document)


def _check_faults(checks: Any) -> list[str]:
    found = []
    for index, check in enumerate(checks if isinstance(checks, list) else []):
        if not isinstance(check, dict):
            continue
        kind = KINDS.get(str(check.get("kind")))
        known = {*_CHECK_MEMBERS} if kind is None else {*_COMMON, *kind.required, *kind.allowed}
        needed = ("kind", "name", "policies") if kind is None else ("kind", "name", "policies", *kind.required)
        schema = _object({m: _CHECK_MEMBERS[m] for m in needed}, {m: _CHECK_MEMBERS[m] for m in sorted(known)})
        for error in Draft202012Validator(schema).iter_errors(check):
            found.append(_line(error, f"checks[{index}]"))
        if kind is not None and not {"at_least", "at_most"} & check.keys():
            found.append(f"checks[{index}]: nothing is required; allowed are at_least and at_most")
    return found


def _mismatches(document: Mapping[str, Any]) -> Iterable[str]:
    """What a schema cannot say: members that must fit each other."""
    faults, steps, quick = document.get("faults", []), document["load"].get("steps", []), document["quick"]
    for index, fault in enumerate(faults):
        if missing := [member for member in NEEDS[fault["action"]] if member not in fault]:
            yield f"faults[{index}]: {', '.join(missing)} is missing; {fault['action']} needs it"
    full_s = document["load"]["duration_s"]
    quick_s = quick.get("duration_s", full_s)
    for one, what, entries, member in (
        ("fault", "faults", faults, "at_s"),
        ("step", "load.steps", steps, "steps_at_s"),
    ):
        times = [entry["at_s"] for entry in entries]
        yield from _mistimed(what, one, times, full_s)
        yield from _mistimed(f"quick.{member}", one, quick.get(member, times), quick_s)
        if len(given := quick.get(member, entries)) != len(entries):
            yield f"quick.{member}: has {len(given)} times for {len(entries)} {what}; allowed is one for each"
    yield from _unknown_words(document, faults, steps)
    checks = [check["name"] for check in document["checks"]]
    for name in finding.unknown(document.get("finding", ()), checks):
        yield f"finding: no check is called {name}; allowed are {', '.join(dict.fromkeys(checks))}"


def _mistimed(where: str, one: str, times: Sequence[float], load_s: float) -> Iterable[str]:
    if times != sorted(times):
        yield f"{where}: times must not go back; allowed are rising at_s"
    if any(at_s >= load_s for at_s in times):
        yield f"{where}: a {one} comes after the load; allowed is at_s below {load_s:g}"


def _unknown_words(
    document: Mapping[str, Any], faults: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]]
) -> Iterable[str]:
    """Policies, variants and events of checks that the experiment has not."""
    events = dict.fromkeys(word for one in [*faults, *steps] for word in (one.get("name"), one.get("action")) if word)
    variants = [variant["name"] for variant in document.get("variants", [])]
    places = [*_places("faults", faults), *_places("checks", document["checks"]), ("quick", document["quick"])]
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
        for member in ("since", "until"):
            if check.get(member, "begin") not in ("begin", "end", *events):
                allowed = ", ".join(events) or "none"
                yield f"checks[{index}].{member}: there is no such fault or step; allowed are {allowed}"


def _places(name: str, entries: Sequence[Mapping[str, Any]]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    return ((f"{name}[{index}]", entry) for index, entry in enumerate(entries))


def _line(error: ValidationError, prefix: str = "") -> str:
    path = prefix
    for part in error.absolute_path:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return f"{path or 'file'}: {_reason(error)}"


def _reason(error: ValidationError) -> str:
    schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
    instance: Any = error.instance
    match error.validator:
        case "enum":
            return f"{instance!r} is not known; allowed are {', '.join(map(str, schema['enum']))}"
        case "additionalProperties":
            unknown = sorted(set(instance) - set(schema["properties"]))
            return f"{', '.join(unknown)} is not known; allowed are {', '.join(sorted(schema['properties']))}"
        case "required":
            missing = sorted(set(schema["required"]) - set(instance))
            return f"{', '.join(missing)} is missing; needed are {', '.join(schema['required'])}"
        case "type":
            return f"{instance!r} has the wrong type; allowed is {schema['type']}"
        case validator:
            return f"{instance!r} does not fit; allowed is {validator} {error.validator_value}"


def _build(document: Mapping[str, Any]) -> Experiment:
    faults = tuple(_fault(fault) for fault in document.get("faults", []))
    variants = tuple(Variant(**variant) for variant in document.get("variants", [{}]))
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
        revoking=Revoking(**document["revocations"]) if "revocations" in document else None,
        variants=variants,
        finding=tuple(document.get("finding", ())),
    )


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
        variants=tuple(quick.get("variants", variants)),
    )


def _fault(members: Mapping[str, Any]) -> Fault:
    return Fault(**{**members, "variants": tuple(members.get("variants", ()))})


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
