"""A `result.json` as a value that pages and tables can be made of. Pure.

Results outlive the code that made them: members of contract 9 are required, everything inside `parameters` and `series`
may be missing. A table of a name that nobody here knows is shown as it is. What is there has the kind that its name
says: whoever draws it need not ask.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jsonschema import Draft202012Validator

Verdict = Literal["holds", "does not hold", "not valid"]
_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_NUMBER_OR_NULL = {"type": ["number", "null"]}
_WORD = {"type": ["string", "null"]}
_WORDS = {"type": ["array", "null"], "items": _TEXT}
_LIMIT = 1e15
"""Nothing is larger; drawings of larger numbers overflow."""
_DEEP = 20
"""A series is four deep in its file; parameters may be deeper."""
_CONTROL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What is no Char of XML 1.0 (2.2)."""
_TABLE = {
    "type": "object",
    "required": ["name", "columns", "rows"],
    "properties": {
        "name": _TEXT,
        "columns": {"type": "array", "items": _TEXT},
        "rows": {
            "type": "array",
            "items": {
                "type": "array",
                "items": {"type": ["string", "number", "boolean", "null"]},
            },
        },
    },
}
_CHECK = {
    "type": "object",
    "required": ["name", "holds", "measured", "required"],
    "properties": {"name": _TEXT, "holds": {"type": "boolean"}, "measured": _NUMBER_OR_NULL} | {"required": _TEXT},
}
_FAULT = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("at_s", "ms", "share", "times", "per_s", "offset_s", "every_s", "until_s"), _NUMBER_OR_NULL),
        **dict.fromkeys(("action", "region", "to", "name"), _WORD),
        "at_s": _NUMBER,
        "variants": _WORDS,
    },
}
_STEP = {
    "type": "object",
    "required": ["at_s", "times", "name"],
    "properties": {"at_s": _NUMBER, "times": _NUMBER, "name": _TEXT},
}
_LOAD = {
    "type": ["object", "null"],
    "properties": {
        **dict.fromkeys(("arrivals_per_s", "duration_s", "warm_up_s", "timeout_s"), _NUMBER),
        "operations": _WORDS,
        "steps": {"type": ["array", "null"], "items": _STEP},
    },
}
_REVOKING = {"type": ["object", "null"], "properties": {"per_s": _NUMBER, "preloaded": _NUMBER_OR_NULL}}
_CUTOFFS = {
    "type": ["object", "null"],
    "properties": {"every_s": _NUMBER, "after_s": {"type": ["array", "null"], "items": _NUMBER}},
}
_SIZE = {"type": ["integer", "null"], "minimum": 1}
_PARAMETERS = {
    "type": "object",
    "properties": {
        "policies": _WORDS,
        "variants": {"type": ["array", "null"], "items": {"type": "object", "properties": {"name": _WORD}}},
        "load": _LOAD,
        "faults": {"type": ["array", "null"], "items": _FAULT},
        "revocations": _REVOKING,
        "cutoffs": _CUTOFFS,
        "seeds": {"type": ["integer", "null"]},
        "not_judged": {"type": ["object", "null"]},
        "regions": _SIZE,
        "nodes_per_region": _SIZE,
    },
}
MEMBERS: Mapping[str, Any] = {
    "name": {"type": "string", "pattern": r"^[a-z0-9]+(-[a-z0-9]+)*\Z"},
    "question": _TEXT,
    "answer": _TEXT,
    "valid": {"type": "boolean"},
    "seed": {"type": "integer"},
    "commit": _TEXT,
    "started_at": {"type": "integer", "minimum": 0, "maximum": 253402300799},
    "topology": {"type": "object", "properties": {"regions": _WORDS, "locations": _WORDS}},
    "parameters": _PARAMETERS,
    "checks": {"type": "array", "items": _CHECK},
    "series": {"type": "array", "items": _TABLE},
}
_SCHEMA = Draft202012Validator({"type": "object", "required": [*MEMBERS], "properties": MEMBERS})
_KINDS: Sequence[tuple[re.Pattern[str], tuple[type, ...], str]] = [
    (re.compile("policy|location|endpoint|region|condition|action"), (str,), "text"),
    (re.compile("seed|second|ok|lost|requests|began_at_s"), (int, float), "a number"),
    (re.compile(r"p[0-9.]+_ms|ms|share|at_s|load"), (int, float, type(None)), "a number or null"),
]
"""What a column of such a name holds in every table."""
SHARE = re.compile(r"p([0-9.]+)_ms")
"""A column of quantiles."""
SHARES_MIN = 6
"""Fewer quantiles are a summary and no curve."""


class RecordError(ValueError):
    """A result that cannot be used; its text says in one line what is wrong and how to mend it."""


@dataclass(frozen=True, slots=True)
class Table:
    """One of the result's series."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Every row by the names of its columns."""
        return (dict(zip(self.columns, row, strict=True)) for row in self.rows)

    def has(self, *columns: str) -> bool:
        """Whether it has rows, and all these columns."""
        return bool(self.rows) and set(columns) <= set(self.columns)


@dataclass(frozen=True, slots=True)
class Judged:
    """One check: what it required, what was measured, and whether that was enough."""

    name: str
    holds: bool
    measured: float | None
    required: str


@dataclass(frozen=True, slots=True)
class Record:
    """One experiment's result. `number` is E1 and the like, empty for an experiment that is not known any more."""

    number: str
    name: str
    question: str
    answer: str
    valid: bool
    seed: int
    commit: str
    started_at: int
    topology: Mapping[str, Any]
    parameters: Mapping[str, Any]
    checks: tuple[Judged, ...]
    tables: tuple[Table, ...]

    @property
    def verdict(self) -> Verdict:
        """What it came to; nothing that was not checked holds."""
        if not self.valid:
            return "not valid"
        return "holds" if self.checks and all(check.holds for check in self.checks) else "does not hold"

    @property
    def held(self) -> int:
        """How many checks held."""
        return sum(check.holds for check in self.checks)

    @property
    def title(self) -> str:
        """Its number and name."""
        return f"{self.number} {self.name}".strip()

    @property
    def quick(self) -> bool:
        """Whether it is of the short form."""
        return self.parameters.get("form") == "quick"

    def table(self, name: str) -> Table:
        """The series of that name, an empty one where there is none."""
        return next((table for table in self.tables if table.name == name), Table(name, (), ()))


def parse(text: str, numbers: Mapping[str, str]) -> Record:
    """The record of a file's text; `numbers` has the number of each known experiment. Raises RecordError."""
    try:
        found = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"it is not JSON ({error}): run the experiment again") from error
    check_values(found)
    for wrong in sorted(_SCHEMA.iter_errors(found), key=lambda error: str(error.json_path)):
        reason = wrong.message if len(wrong.message) < 120 else f"it does not fit {wrong.validator}"
        raise RecordError(f"{wrong.json_path}: {reason}: it is no result of an experiment, or a damaged one")
    tables = tuple(_table(table) for table in found["series"])
    members = {name: found[name] for name in MEMBERS if name not in ("checks", "series")}
    members |= {name: int(members[name]) for name in ("seed", "started_at")}  # 1.0 is an integer of JSON Schema
    checks = tuple(Judged(c["name"], c["holds"], c["measured"], c["required"]) for c in found["checks"])
    return Record(number=numbers.get(found["name"], ""), checks=checks, tables=tables, **members)


def check_values(value: Any, where: str = "$", depth: int = 0) -> None:
    """JSON allows text that no file or no XML can hold, and numbers and depths that nobody can work with. Raises
    RecordError."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise RecordError(f"{where}: half a letter of Unicode: the file is damaged") from error
        if control := _CONTROL.search(value):
            raise RecordError(f"{where}: a control character, {control[0]!a}: the file is damaged")
    elif isinstance(value, int | float):
        if not -_LIMIT <= value <= _LIMIT:
            raise RecordError(f"{where}: a number beyond {_LIMIT:g}: the file is damaged")
    elif value is not None:
        if depth == _DEEP:
            raise RecordError(f"{where}: nested too deep: the file is damaged")
        members = [*value.items()] if isinstance(value, dict) else [*enumerate(value)]
        for name, one in members:
            check_values(name, where)
            check_values(one, f"{where}.{name}" if isinstance(value, dict) else f"{where}[{name}]", depth + 1)


def _no_number(name: str) -> None:
    """Python's JSON has more numbers than JSON. Raises ValueError."""
    raise ValueError(f"{name} is no number")


def _table(table: Mapping[str, Any]) -> Table:
    columns = tuple(table["columns"])
    for index, row in enumerate(table["rows"]):
        if len(row) != len(columns):
            where = f"series {table['name']}, row {index}"
            raise RecordError(f"{where}: {len(row)} cells for {len(columns)} columns: the file is damaged")
    found = Table(table["name"], columns, tuple(map(tuple, table["rows"])))
    for at, column in enumerate(columns):
        _check_column(found, at, column)
    _check_quantiles(found)
    _check_counts(found)
    return found


def _check_column(table: Table, at: int, column: str) -> None:
    for kinds, wanted in ((kinds, wanted) for names, kinds, wanted in _KINDS if names.fullmatch(column)):
        for index, row in enumerate(table.rows):
            if not isinstance(row[at], kinds) or isinstance(row[at], bool):
                where = f"series {table.name}, row {index}, {column}"
                raise RecordError(f"{where}: {json.dumps(row[at])} is not {wanted}: the file is damaged")


def _check_quantiles(table: Table) -> None:
    """Every quantile has a share, and no time is negative; a curve has its median, which is told beside it."""
    found = [match for match in map(SHARE.fullmatch, table.columns) if match]
    for match in found:
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", match[1]):
            raise RecordError(f"series {table.name}, {match[0]}: {match[1]} is no percentage: the file is damaged")
    for index, row in enumerate(table):
        for match in found:
            if (row[match[0]] or 0) < 0:
                where = f"series {table.name}, row {index}, {match[0]}"
                raise RecordError(f"{where}: {row[match[0]]} is a time below zero: the file is damaged")
    if len(found) >= SHARES_MIN and "p50_ms" not in table.columns:
        raise RecordError(f"series {table.name}: {len(found)} quantiles without p50_ms: the file is damaged")


def _check_counts(table: Table) -> None:
    """What was lost is a part of what was asked."""
    counts = [name for name in ("ok", "lost", "requests") if name in table.columns]
    for index, row in enumerate(table):
        where = f"series {table.name}, row {index}"
        for name in counts:
            if row[name] < 0:
                raise RecordError(f"{where}, {name}: {row[name]} is a count below zero: the file is damaged")
        if {"lost", "requests"} <= row.keys() and row["lost"] > row["requests"]:
            raise RecordError(f"{where}: {row['lost']} of {row['requests']} requests lost: the file is damaged")


def ordered(records: Sequence[Record]) -> list[Record]:
    """By number, unknown ones last."""
    return sorted(records, key=lambda one: rank(one.number, one.name))


def rank(number: str, name: str) -> tuple[int, str]:
    """Where an experiment comes among others."""
    return int(number[1:]) if number else 1_000, name
