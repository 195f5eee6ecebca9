"""The kinds of constraints that a parameter can have, and the clause for each that a value breaks (spec 1.6).

Lengths count code points; patterns match fully and in ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stsd.errors import MalformedInput
from stsd.wire.query import Parameters

NULL = "Member must not be null"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern as messages print it, and the same pattern as the live service applies it."""

    text: str
    regex: re.Pattern[str]


def pattern(text: str, applied: str | None = None) -> Pattern:
    """A pattern that is printed as `text` and applied as `applied`, in ASCII (spec 1.6)."""
    return Pattern(text, re.compile(text if applied is None else applied, re.ASCII))


ANYTHING = Pattern(r"[\s\S]*", re.compile(r"[\s\S]*"))
"""No constraint; not printed."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string; `path` is its name in messages, lengths are in code points, `longest` None is without limit.

    The value of a `sensitive` one is never printed (spec 1.6).
    """

    name: str
    path: str
    shortest: int
    longest: int | None
    pattern: Pattern
    required: bool = False
    sensitive: bool = False

    def read(self, parameters: Parameters) -> str | None:
        """The text as sent."""
        return parameters.get(self.name)

    def clauses(self, value: str, path: str) -> list[str]:
        """One clause for each constraint that `value` breaks."""
        matches = self.pattern.regex.fullmatch(value) is not None
        if matches and self.shortest <= len(value) and (self.longest is None or len(value) <= self.longest):
            return []
        printed = None if self.sensitive else value
        broken = []
        if len(value) < self.shortest:
            broken.append(_clause(printed, path, f"Member must have length greater than or equal to {self.shortest}"))
        if self.longest is not None and len(value) > self.longest:
            broken.append(_clause(printed, path, f"Member must have length less than or equal to {self.longest}"))
        if not matches:
            said = f"Member must satisfy regular expression pattern: {self.pattern.text}"
            broken.append(_clause(printed, path, said))
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
    """A list of structures of texts. `shape` is the structure's name in messages, `shortest` and `longest` are numbers
    of elements."""

    name: str
    path: str
    shape: str
    longest: int
    fields: tuple[Text, ...]
    required: bool = False
    shortest: int = 0

    def read(self, parameters: Parameters) -> tuple[dict[str, str] | None, ...] | None:
        """Known fields of each element, None for a gap. Raises MalformedInput (spec 1.1.1)."""
        elements = parameters.structures(self.name)
        if elements is None:
            return None
        return tuple(None if element is None else self._known(element) for element in elements)

    def clauses(self, value: tuple[dict[str, str] | None, ...], path: str) -> list[str]:
        """Clauses of every element, whose paths count from 1 (spec 1.6); of a list too long only that it is."""
        broken = _count_clauses(value, self.shortest, self.longest, self._printed, path)
        if broken:
            return broken
        for number, element in enumerate(value, 1):
            member = f"{path}.{number}.member"
            if element is None:
                broken.append(null(member))
                continue
            for each in self.fields:
                broken += clauses_of(each, element.get(each.name), f"{member}.{each.path}")
        return broken

    def _known(self, element: dict[str, str]) -> dict[str, str]:
        return {each.name: element[each.name] for each in self.fields if each.name in element}

    def _printed(self, element: dict[str, str] | None) -> str:
        if element is None:
            return "null"
        shown = (f"{each.path}={'***' if each.sensitive else element.get(each.name, 'null')}" for each in self.fields)
        return f"{self.shape}({', '.join(shown)})"


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of texts: `shortest` and `longest` are numbers of elements, each of which is like `element`."""

    name: str
    path: str
    shortest: int
    longest: int
    element: Text
    required: bool = False

    def read(self, parameters: Parameters) -> tuple[str | None, ...] | None:
        """The texts, None for a gap. Raises MalformedInput (spec 1.1.1)."""
        return parameters.list(self.name)

    def clauses(self, value: tuple[str | None, ...], path: str) -> list[str]:
        """Of a list whose number of elements is wrong only that it is; else one clause that lists what its elements
        must be, once for the whole list (spec 1.6)."""
        broken = _count_clauses(value, self.shortest, self.longest, str, path)
        if broken:
            return broken
        if any(text is None or self.element.clauses(text, path) for text in value):
            printed = f"[{', '.join('null' if text is None else text for text in value)}]"
            return [_clause(printed, path, f"Member must satisfy constraint: [{', '.join(self._each())}]")]
        return []

    def _each(self) -> list[str]:
        """What every element must be, in AWS's order."""
        said = [
            f"Member must have length less than or equal to {self.element.longest}",
            f"Member must have length greater than or equal to {self.element.shortest}",
        ]
        if self.element.pattern is not ANYTHING:
            said.append(f"Member must satisfy regular expression pattern: {self.element.pattern.text}")
        return said


@dataclass(frozen=True, slots=True)
class Structure:
    """One structure of texts; a field that is required is missed under the structure's own path (spec 3.5)."""

    name: str
    path: str
    fields: tuple[Text, ...]
    required: bool = False

    def read(self, parameters: Parameters) -> dict[str, str] | None:
        """The known fields that were sent, None when there are none."""
        sent = {each.name: parameters.get(f"{self.name}.{each.name}") for each in self.fields}
        return {name: value for name, value in sent.items() if value is not None} or None

    def clauses(self, value: dict[str, str], path: str) -> list[str]:
        """The clauses of its fields."""
        return [
            clause for each in self.fields for clause in clauses_of(each, value.get(each.name), f"{path}.{each.path}")
        ]


Constraint = Text | Integer | Structures | Texts | Structure


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


def _count_clauses(
    value: tuple[Any, ...], shortest: int, longest: int, printed: Callable[[Any], str], path: str
) -> list[str]:
    """A clause if a list has too few or too many elements."""
    if shortest <= len(value) <= longest:
        return []
    said = f"less than or equal to {longest}" if len(value) > longest else f"greater than or equal to {shortest}"
    return [_clause(f"[{', '.join(map(printed, value))}]", path, f"Member must have length {said}")]


def clauses_of(each: Any, value: Any, path: str) -> list[str]:
    """What is wrong with a value; with None, that it is missing."""
    if value is not None:
        clauses: list[str] = each.clauses(value, path)
        return clauses
    return [null(path)] if each.required else []


def null(path: str) -> str:
    """The clause of a required value that is missing."""
    return f"Value null at '{path}' failed to satisfy constraint: {NULL}"


def _clause(value: str | None, path: str, constraint: str) -> str:
    """One broken constraint; a `value` of None is not to be printed."""
    shown = "" if value is None else f"'{value}' "
    return f"Value {shown}at '{path}' failed to satisfy constraint: {constraint}"
