"""The lines of `docs/results.md` as `docs/data/results.json` keeps them: some are renewed while others stay. Pure.

A line is what the page says of one experiment, and no more: checks by name and series are in its result, which is in no
repository. What the page derives (number, title, commands) is derived anew. A file of another shape is refused whole: a
page of half of it would say something else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jsonschema import Draft202012Validator

from cluster.report import words
from cluster.report.record import MEMBERS, Record, RecordError, Verdict, check_values, rank

SCHEMA = 1
_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_LINE: Mapping[str, Any] = {
    "name": MEMBERS["name"],
    "question": _TEXT,
    "answer": _TEXT,
    "verdict": {"enum": ["holds", "does not hold", "not valid"]},
    "held": _COUNT,
    "checks": _COUNT,
    "form": {"enum": ["quick", "full", ""]},
    "leaves_out": _TEXT,
    "simulated": {"type": "boolean"},
    "options": {"type": "array", "items": {"type": "string", "pattern": r"^\S+( \S+)*\Z"}},
    "picture": {"type": ["string", "null"]},
    "commits": {"type": "array", "items": _TEXT, "minItems": 1},
    "started_at": {"type": "array", "items": MEMBERS["started_at"], "minItems": 2, "maxItems": 2},
}
_LINES = {"type": "object", "required": [*_LINE], "properties": _LINE, "additionalProperties": False}
_FILE = Draft202012Validator(
    {
        "type": "object",
        "required": ["schema", "experiments"],
        "properties": {"schema": {"const": SCHEMA}, "experiments": {"type": "array", "items": _LINES}},
        "additionalProperties": False,
    }
)


@dataclass(frozen=True, slots=True)
class Line:
    """One experiment on the page. `number` is E1 and the like, empty for an experiment that is not known any more;
    `picture` is what its picture shows, None where there is none. A result is of one commit and began at one instant;
    of lines older than this file only some commits are known of which theirs is one, and two instants between which
    theirs is."""

    number: str
    name: str
    question: str
    answer: str
    verdict: Verdict
    held: int
    checks: int
    form: Literal["quick", "full", ""]
    leaves_out: str
    simulated: bool
    options: tuple[str, ...]
    picture: str | None
    commits: tuple[str, ...]
    started_at: tuple[int, int]

    @property
    def title(self) -> str:
        """Its number and name."""
        return f"{self.number} {self.name}".strip()


def line(record: Record, picture: str | None) -> Line:
    """What the page says of a result; `picture` is what its picture shows."""
    leaves_out = record.parameters.get("quick_leaves_out") if record.quick else None
    return Line(
        number=record.number,
        name=record.name,
        question=record.question,
        answer=record.answer,
        verdict=record.verdict,
        held=record.held,
        checks=len(record.checks),
        form="quick" if record.quick else "full" if record.parameters.get("form") == "full" else "",
        leaves_out=str(leaves_out or ""),
        simulated=bool(record.parameters.get("simulated")),
        options=tuple(" ".join(word.split()) for word in words.options(record)),
        picture=picture,
        commits=(words.short_commit(record.commit),),
        started_at=(record.started_at, record.started_at),
    )


def renewed(kept: Iterable[Line], new: Iterable[Line]) -> list[Line]:
    """The new lines, and of the kept ones those of other experiments, in the order of the page."""
    found = {one.name: one for one in (*kept, *new)}
    return sorted(found.values(), key=lambda one: rank(one.number, one.name))


def encoded(lines: Iterable[Line]) -> bytes:
    """The file. Numbers of experiments are not in it: they are those of today."""
    experiments = [{name: getattr(one, name) for name in _LINE} for one in lines]
    return (json.dumps({"schema": SCHEMA, "experiments": experiments}, indent=1, ensure_ascii=False) + "\n").encode()


def parse(text: str, numbers: Mapping[str, str]) -> list[Line]:
    """The lines of a file's text; `numbers` has the number of each known experiment. Raises RecordError."""
    try:
        found = json.loads(text, parse_float=_not_whole, parse_constant=_not_whole)
        check_values(found)
    except RecordError as error:
        raise _refused(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise _refused(f"it is not JSON as it was written ({error})") from error
    for wrong in sorted(_FILE.iter_errors(found), key=lambda error: str(error.json_path)):
        reason = wrong.message if len(wrong.message) < 120 else f"it does not fit {wrong.validator}"
        raise _refused(f"{wrong.json_path}: {reason}")
    lines: dict[str, Line] = {}
    for index, one in enumerate(found["experiments"]):
        where, name = f"$.experiments[{index}]", one["name"]
        if name in lines:
            raise _refused(f"{where}: {name} is there twice")
        if one["held"] > one["checks"]:
            raise _refused(f"{where}: {one['held']} of {one['checks']} checks held")
        values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in one.items()}
        lines[name] = Line(number=numbers.get(name, ""), **values)
    return renewed(lines.values(), ())


def _not_whole(number: str) -> None:
    """Every number of the file is a whole one. Raises ValueError."""
    raise ValueError(f"{number} is no whole number")


def _refused(reason: str) -> RecordError:
    return RecordError(f"{reason}: take the file from the repository again")
