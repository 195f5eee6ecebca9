"""Checking the parameters of a call against the table of what they may be (spec 1.6).

`validate` reads every parameter of an action into its type first (MalformedInput, spec 1.1.2 step 6), then reports
all broken constraints in one ValidationError.
"""

from __future__ import annotations

from typing import Any

from stsd.errors import ValidationError
from stsd.wire.constraint_kinds import Constraint, clauses_of, null
from stsd.wire.parameter_table import PARAMETERS
from stsd.wire.query import Parameters


def validate(action: str, parameters: Parameters) -> dict[str, Any]:
    """Typed values by wire name: str, int, dict, or a tuple of texts or dicts; what was not sent is absent.

    Raises MalformedInput and ValidationError.
    """
    values: dict[str, Any] = {}
    broken: list[str] = []
    sent = parameters.roots
    for each in PARAMETERS[action]:
        value: Any = each.read(parameters) if each.name in sent else None
        if value is not None:
            values[each.name] = value
            broken += each.clauses(value, each.path)
        elif each.required:
            broken.append(null(each.path))
    if broken:
        raise _refusal(broken)
    return values


def check(constraint: Constraint, value: Any) -> None:
    """A value that did not come as a parameter against the constraint of one. Raises ValidationError."""
    broken = clauses_of(constraint, value, constraint.path)
    if broken:
        raise _refusal(broken)


def _refusal(broken: list[str]) -> ValidationError:
    plural = "" if len(broken) == 1 else "s"
    text = f"{len(broken)} validation error{plural} detected: {'; '.join(broken)}"
    return ValidationError(text, reason="constraint")
