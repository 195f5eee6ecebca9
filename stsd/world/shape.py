"""The form of a world document: the published schema, the fields of later stages, and faults in our own words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from types import UnionType
from typing import Any

from stsd.world.entries import accounts
from stsd.world.faults import Fault, Path, shown

LATER: dict[str, tuple[str, ...]] = {
    "Organization": ("OrganizationalUnits", "ServiceControlPolicies", "ResourceControlPolicies"),
    "Users": ("PermissionsBoundary",),
    "Roles": ("PermissionsBoundary",),
}
"""Fields of the schema whose feature is not built yet, by the list whose items have them (contract 5)."""

_EXPECTED = {
    "object": "an object",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
}
_KINDS: tuple[tuple[type | UnionType, str], ...] = (
    (bool, "is true or false"),
    (int | float, "is a number"),
    (str, "is text"),
    (list, "is a list"),
    (dict, "is an object"),
)
_PATTERNS = {
    "^[0-9]{12}$": "12 digits",
    "^[A-Z2-7]{16,128}$": "16 to 128 of the characters A-Z and 2-7",
}


def faults(document: object) -> Iterator[Fault]:
    """Where the document has not the form of the schema, or uses what is not supported yet."""
    later = list(_later(document))
    yield from later
    errors = list(_validator().iter_errors(document))
    # What is not supported yet, or not even of the right type, needs no second fault.
    settled = {fault.path for fault in later}
    mistyped = {tuple(error.absolute_path) for error in errors if error.validator == "type"}
    for error in errors:
        if error.validator == "type" or tuple(error.absolute_path) not in mistyped:
            yield from (fault for fault in _translated(error) if not _is_within(fault.path, settled))


def _is_within(path: Path, settled: set[Path]) -> bool:
    return any(path[:length] in settled for length in range(1, len(path) + 1))


def _later(document: object) -> Iterator[Fault]:
    if isinstance(document, dict):
        organization = document.get("Organization")
        if isinstance(organization, dict):
            yield from _unsupported("Organization", organization, ("Organization",))
    for account in accounts(document):
        for field in ("Users", "Roles"):
            for entry in account.items(field):
                yield from _unsupported(field, entry.fields, entry.path)


def _unsupported(kind: str, fields: dict[str, Any], path: Path) -> Iterator[Fault]:
    for field in LATER[kind]:
        if field in fields:
            yield Fault((*path, field), "is not supported yet")


@cache
def _validator() -> Any:
    """The schema, compiled at the first use: a node that starts from a materialised world never needs it."""
    import jsonschema

    def pattern(_: object, value: str, instance: object, __: object) -> Iterator[Any]:
        # In Python `$` also matches before a final newline; the schema means the end (ECMA-262).
        if isinstance(instance, str) and not re.search(value.replace("$", r"\Z"), instance):
            yield jsonschema.ValidationError("pattern")

    schema = json.loads(files(__package__).joinpath("schema.json").read_text(encoding="utf-8"))
    strict = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": pattern})  # type: ignore[no-untyped-call]
    return strict(schema)


def _translated(error: Any) -> Iterator[Fault]:
    path: Path = tuple(error.absolute_path)
    translate = _MESSAGES.get(error.validator)
    if error.validator == "required":
        for field in error.validator_value:
            if field not in error.instance:
                yield Fault((*path, field), f"is missing (required: {', '.join(error.validator_value)})")
    elif error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        for field in error.instance:
            if field not in known:
                yield Fault((*path, field), f"is not a field here (allowed: {', '.join(_supported(path, known))})")
    elif translate is not None:
        yield Fault(path, translate(error, path))
    else:
        yield Fault(path, f"does not satisfy {error.validator!r} of the schema")


def _supported(path: Path, known: dict[str, Any]) -> list[str]:
    kind = next((step for step in reversed(path) if isinstance(step, str)), "")
    return [field for field in known if field not in LATER.get(kind, ())]


def _wrong_type(error: Any, path: Path) -> str:
    value, expected = error.instance, error.validator_value
    said = f"{_described(value, path)}; {_EXPECTED.get(expected, expected)} is expected"
    if expected == "string" and isinstance(value, int | float):
        said += ": quote it"
    return said + _allowed(error.schema)


def _described(value: object, path: Path) -> str:
    """`12 is a number`; an object or a list is named without its content."""
    if value is None:
        return "is empty"
    kind = next(said for types, said in _KINDS if isinstance(value, types))
    return kind if isinstance(value, dict | list) else f"{shown(value, path)} {kind}"


def _allowed(schema: dict[str, Any]) -> str:
    if "pattern" in schema:
        return f" (allowed: {_PATTERNS.get(schema['pattern'], schema['pattern'])})"
    if "minimum" in schema:
        return f" (allowed: {schema['minimum']} to {schema['maximum']})"
    return ""


def _alternatives(path: Path) -> str:
    if path and path[-1] == "Tags":
        return "tags are expected (an object of texts, or a list of Key and Value)"
    return "a policy document is expected (object or JSON text)"


_MESSAGES: dict[str, Callable[[Any, Path], str]] = {
    "type": _wrong_type,
    "pattern": lambda error, path: f"{shown(error.instance, path)} does not fit{_allowed(error.schema)}",
    "minimum": lambda error, path: (
        f"{error.instance} is less than the minimum of {error.validator_value}{_allowed(error.schema)}"
    ),
    "maximum": lambda error, path: (
        f"{error.instance} is greater than the maximum of {error.validator_value}{_allowed(error.schema)}"
    ),
    "enum": lambda error, path: (
        f"{shown(error.instance, path)} is none of the values (allowed: {', '.join(error.validator_value)})"
    ),
    "oneOf": lambda error, path: f"{_described(error.instance, path)}; {_alternatives(path)}",
    "minItems": lambda error, path: f"is an empty list (allowed: at least {error.validator_value})",
    "minLength": lambda error, path: "is empty (allowed: at least one character)",
}
"""Schema keyword → what is wrong and what is allowed."""
