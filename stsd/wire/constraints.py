"""What a parameter's value may be, as a table, and the words for a value that may not (spec 1.6, 3.0.2, 3.0.3).

`validate` reads every parameter of an action into its type first (MalformedInput, spec 1.1.2 step 6), then reports
all broken constraints in one ValidationError. Lengths count code points; patterns match fully and in ASCII.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from stsd.errors import InvalidParameterValue, MalformedInput, ValidationError
from stsd.wire.query import Parameters

NULL = "Member must not be null"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern as messages print it, and the same pattern as the live service applies it."""

    text: str
    regex: re.Pattern[str]


def _pattern(text: str, applied: str | None = None) -> Pattern:
    return Pattern(text, re.compile(text if applied is None else applied, re.ASCII))


# Characters beyond U+FFFF fail live, although the class seems to admit them (spec 1.6).
ARN = _pattern(
    r"[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+",
    r"[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD]+",
)
POLICY = _pattern(r"[\u0009\u000A\u000D\u0020-\u00FF]+")
SESSION_NAME = _pattern(r"[\w+=,.@-]*")
EXTERNAL_ID = _pattern(r"[\w+=,.@:\/-]*")
WORD = _pattern(r"[\w]*")


@dataclass(frozen=True, slots=True)
class Text:
    """A string; `path` is its name in messages, lengths are in code points, `longest` None is without limit."""

    name: str
    path: str
    shortest: int
    longest: int | None
    pattern: Pattern
    required: bool = False

    def read(self, parameters: Parameters) -> str | None:
        """The text as sent."""
        return parameters.get(self.name)

    def clauses(self, value: str, path: str) -> list[str]:
        """One clause for each constraint that `value` breaks."""
        matches = self.pattern.regex.fullmatch(value) is not None
        if matches and self.shortest <= len(value) and (self.longest is None or len(value) <= self.longest):
            return []
        broken = []
        if len(value) < self.shortest:
            broken.append(_clause(value, path, f"Member must have length greater than or equal to {self.shortest}"))
        if self.longest is not None and len(value) > self.longest:
            broken.append(_clause(value, path, f"Member must have length less than or equal to {self.longest}"))
        if not matches:
            broken.append(_clause(value, path, f"Member must satisfy regular expression pattern: {self.pattern.text}"))
        return broken


@dataclass(frozen=True, slots=True)
class Integer:
    """A signed 32-bit decimal within a range."""

    name: str
    path: str
    least: int
    greatest: int
    required: bool = False

    def read(self, parameters: Parameters) -> int | None:
        """The number. Raises MalformedInput (spec 1.1.1)."""
        text = parameters.get(self.name)
        return None if text is None else integer(text)

    def clauses(self, value: int, path: str) -> list[str]:
        """A clause if `value` is out of range."""
        if value < self.least:
            return [_clause(str(value), path, f"Member must have value greater than or equal to {self.least}")]
        if value > self.greatest:
            return [_clause(str(value), path, f"Member must have value less than or equal to {self.greatest}")]
        return []


@dataclass(frozen=True, slots=True)
class Structures:
    """A list of structures of texts. `shape` is the structure's name in messages."""

    name: str
    path: str
    shape: str
    longest: int
    fields: tuple[Text, ...]
    required: bool = False

    def read(self, parameters: Parameters) -> tuple[dict[str, str] | None, ...] | None:
        """Known fields of each element, None for a gap. Raises MalformedInput (spec 1.1.1)."""
        elements = parameters.structures(self.name)
        if elements is None:
            return None
        return tuple(None if element is None else self._known(element) for element in elements)

    def clauses(self, value: tuple[dict[str, str] | None, ...], path: str) -> list[str]:
        """Clauses of every element, whose paths count from 1 (spec 1.6); of a list too long only that it is."""
        if len(value) > self.longest:
            printed = "[" + ", ".join(map(self._printed, value)) + "]"
            return [_clause(printed, path, f"Member must have length less than or equal to {self.longest}")]
        broken: list[str] = []
        for number, element in enumerate(value, 1):
            member = f"{path}.{number}.member"
            if element is None:
                broken.append(_null(member))
                continue
            for each in self.fields:
                broken += _clauses(each, element.get(each.name), f"{member}.{each.path}")
        return broken

    def _known(self, element: dict[str, str]) -> dict[str, str]:
        return {each.name: element[each.name] for each in self.fields if each.name in element}

    def _printed(self, element: dict[str, str] | None) -> str:
        if element is None:
            return "null"
        return f"{self.shape}({', '.join(f'{each.path}={element.get(each.name)}' for each in self.fields)})"


Constraint = Text | Integer | Structures

# The model requires no arn of an entry; without one, a session policy would be dropped in silence.
POLICY_ARNS = Structures(
    "PolicyArns", "policyArns", "PolicyDescriptorType", 10, (Text("arn", "arn", 20, 2048, ARN, required=True),)
)
CONSTRAINTS: dict[str, tuple[Constraint, ...]] = {
    "AssumeRole": (
        Text("RoleArn", "roleArn", 20, 2048, ARN, required=True),
        Text("RoleSessionName", "roleSessionName", 2, 64, SESSION_NAME, required=True),
        POLICY_ARNS,
        Text("Policy", "policy", 1, None, POLICY),
        Integer("DurationSeconds", "durationSeconds", 900, 43_200),
        Text("ExternalId", "externalId", 2, 1224, EXTERNAL_ID),
    ),
    "GetAccessKeyInfo": (Text("AccessKeyId", "accessKeyId", 16, 128, WORD, required=True),),
    "GetCallerIdentity": (),
    "GetSessionToken": (Integer("DurationSeconds", "durationSeconds", 900, 129_600),),
}
NONE: frozenset[str] = frozenset()
LATER_LISTS = frozenset({"Tags", "TransitiveTagKeys", "ProvidedContexts"})
LATER: dict[str, frozenset[str]] = {
    "AssumeRole": LATER_LISTS | {"SerialNumber", "TokenCode", "SourceIdentity"},
    "GetSessionToken": frozenset({"SerialNumber", "TokenCode"}),
}
"""Parameters of AWS that are refused by name: ignoring one would grant what its sender meant to limit."""


def validate(action: str, parameters: Parameters) -> dict[str, Any]:
    """Typed values by wire name: str, int, or a tuple of dicts; what was not sent is absent.

    Raises InvalidParameterValue for a parameter that is not supported, MalformedInput and ValidationError.
    """
    _refuse_later(action, parameters)
    values: dict[str, Any] = {}
    broken: list[str] = []
    for each in CONSTRAINTS[action]:
        value = each.read(parameters)
        if value is not None:
            values[each.name] = value
            broken += _clauses(each, value, each.path)
        elif each.required:
            broken.append(_null(each.path))
    if broken:
        plural = "" if len(broken) == 1 else "s"
        text = f"{len(broken)} validation error{plural} detected: {'; '.join(broken)}"
        raise ValidationError(text, reason="constraint")
    return values


def integer(text: str) -> int:
    """A signed 32-bit decimal; a leading `+` and zeros are fine (spec 1.1.1). Raises MalformedInput."""
    if not text:
        raise MalformedInput("missing value for decimal type", reason="empty_integer")
    digits = text[1:] if text[0] in "+-" else text
    significant = digits.lstrip("0")
    if not (digits.isascii() and digits.isdecimal()) or len(significant) > 10:
        raise MalformedInput(reason="integer")
    number = int(text[0] + significant if text[0] == "-" and significant else significant or "0")
    if not -(2**31) <= number < 2**31:
        raise MalformedInput(reason="integer_range")
    return number


def _refuse_later(action: str, parameters: Parameters) -> None:
    for name in parameters.roots(LATER.get(action, NONE)):
        # An explicitly empty list passes nothing (spec 1.1.1), so nothing is ignored.
        if not (name in LATER_LISTS and parameters.is_empty_list(name)):
            raise InvalidParameterValue(f"{name} is not supported yet", reason="later_parameter")


def _clauses(each: Any, value: Any, path: str) -> list[str]:
    if value is not None:
        clauses: list[str] = each.clauses(value, path)
        return clauses
    return [_null(path)] if each.required else []


def _null(path: str) -> str:
    return f"Value null at '{path}' failed to satisfy constraint: {NULL}"


def _clause(value: str, path: str, constraint: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"
