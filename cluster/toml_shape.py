"""What a TOML file may hold, as JSON schemas, and what is wrong with one in lines for people. Pure."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

TEXT = {"type": "string", "minLength": 1}
LONGEST_S = 604_800
"""A week. What should last longer is a slip of the unit, or of the pen."""
SECONDS = {"type": "number", "minimum": 0, "maximum": LONGEST_S}
POSITIVE = {"type": "number", "exclusiveMinimum": 0, "maximum": LONGEST_S}


class TomlError(ValueError):
    """A text that is no TOML; `faults` says why, a line each."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


def document(text: str) -> dict[str, Any]:
    """What a TOML text holds. Python reads integers of any length, TOML has those of 64 bits. Raises TomlError."""
    try:
        found = tomllib.loads(text)
    except RecursionError as error:
        raise TomlError(["not TOML that can be read: tables or arrays are nested too deep"]) from error
    except ValueError as error:
        raise TomlError([f"not TOML: {error}"]) from error
    if long := [*_long_integers(found, "")]:
        raise TomlError(f"{where}: the integer is out of range; allowed are 64 bits" for where in long)
    return found


def _long_integers(content: Any, where: str) -> Iterator[str]:
    if isinstance(content, dict):
        for name, one in content.items():
            yield from _long_integers(one, f"{where}.{name}" if where else name)
    elif isinstance(content, list):
        for index, one in enumerate(content):
            yield from _long_integers(one, f"{where}[{index}]")
    elif isinstance(content, int) and not -(2**63) <= content < 2**63:
        yield where


def table(required: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The schema of a table with these members and no other one."""
    properties = {**required, **(optional or {})}
    return {"type": "object", "properties": properties, "required": [*required], "additionalProperties": False}


def faults(schema: Mapping[str, Any], content: Any, where: str = "") -> Iterable[str]:
    """A line for everything in `content` that the schema does not allow: path, reason, what is allowed."""
    lines = (_line(error, where) for error in _validator()(schema).iter_errors(content))
    return dict.fromkeys(lines)  # two missing members are two errors, and one line


@cache
def _validator() -> Any:
    # Imported here, because most commands check no file and this takes as long as their own modules together.
    from jsonschema import Draft202012Validator, validators

    types = Draft202012Validator.TYPE_CHECKER.redefine_many({"number": _is_number, "integer": _is_integer})
    return validators.extend(Draft202012Validator, {"enum": _in_enum}, type_checker=types)  # type: ignore[no-untyped-call]


def _is_number(checker: object, value: object) -> bool:
    """TOML has nan and inf, which are below no limit and above none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_integer(checker: object, value: object) -> bool:
    """JSON Schema calls 3.0 an integer, TOML does not."""
    return isinstance(value, int) and not isinstance(value, bool)


def _in_enum(checker: object, allowed: Sequence[Any], value: object, schema: object) -> Iterator[ValidationError]:
    """As JSON Schema has it, but 503.0 is not 503."""
    from jsonschema.exceptions import ValidationError

    if not any(type(value) is type(one) and value == one for one in allowed):
        yield ValidationError(f"{value!r} is not allowed")


def _line(error: ValidationError, prefix: str) -> str:
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
        case "type" if isinstance(instance, float) and not math.isfinite(instance):
            return f"{instance!r} is no finite number; allowed is {schema['type']}"
        case "type":
            return f"{instance!r} has the wrong type; allowed is {schema['type']}"
        case "minimum" | "maximum":
            return f"{instance!r} is out of range; allowed is {_range(schema)}"
        case "exclusiveMinimum":
            return f"{instance!r} is out of range; allowed is more than {schema['exclusiveMinimum']}"
        case "minItems":
            return f"{instance!r} is too short; allowed are at least {schema['minItems']} entries"
        case "pattern" if "description" in schema:
            return f"{instance!r} does not fit; allowed are {schema['description']}"
        case "maxLength":
            return f"{instance!r} is too long; allowed are at most {schema['maxLength']} characters"
        case validator:
            return f"{instance!r} does not fit; allowed is {validator} {error.validator_value}"


def _range(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if high is None:
        return f"at least {low}"
    return f"at most {high}" if low is None else f"{low} to {high}"
