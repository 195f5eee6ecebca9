"""Wildcards of policies: `*` is any run, `?` exactly one UTF-16 unit (spec 4.2).

Who writes a pattern may be hostile, so no matcher backtracks. Patterns of literals and `*` are found piece by piece,
each leftmost; those with `?` run as a set of states held in the bits of one integer. Both take time in proportion
to the text, the second also to a machine word per thirty characters of the pattern.

A pattern is compiled from text or from tokens: in tokens a string is literal whatever is in it, which is how the
value of a policy variable keeps its `*` (spec 4.4).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import Enum

Matcher = Callable[[str], bool]


class Wild(Enum):
    """The two wildcards."""

    RUN = "*"
    ONE = "?"


Token = str | Wild


def tokens(pattern: str) -> tuple[Token, ...]:
    """Split a pattern into literals and wildcards."""
    return tuple(Wild(part) if part in ("*", "?") else part for part in re.split(r"([*?])", pattern) if part)


def compile_glob(pattern: str | Sequence[Token]) -> Matcher:
    """A function that tells whether the whole of a text matches, case-sensitively."""
    parts = tokens(pattern) if isinstance(pattern, str) else pattern
    if Wild.ONE in parts:
        return _states(parts)
    pieces = _literals_between_runs(parts)
    if len(pieces) == 1:
        return pieces[0].__eq__
    return _runs(pieces[0], tuple(filter(None, pieces[1:-1])), pieces[-1])


def compile_arn(components: Sequence[Sequence[Token]]) -> Matcher:
    """A matcher that compares the six components of an ARN one by one, so that `*` never crosses a colon.

    Only the sixth component, which takes the rest, may hold colons itself (spec 4.5).
    """
    *head, tail = components
    if all(isinstance(token, str) for component in head for token in component):
        return _after("".join(f"{''.join(map(str, component))}:" for component in head), tail)
    matchers = tuple(compile_glob(component) for component in components)

    def match(text: str) -> bool:
        parts = text.split(":", 5)
        return len(parts) == 6 and all(matches(part) for matches, part in zip(matchers, parts, strict=True))

    return match


def any_of(matchers: Sequence[Matcher]) -> Matcher:
    """A matcher for whatever one of `matchers` accepts; none of them accepts nothing."""
    if len(matchers) == 1:
        return matchers[0]

    def match(text: str) -> bool:
        for matches in matchers:  # noqa: SIM110 - a generator would cost more than most matchers
            if matches(text):
                return True
        return False

    return match


def _literals_between_runs(parts: Sequence[Token]) -> list[str]:
    pieces = [""]
    for part in parts:
        if isinstance(part, Wild):
            pieces.append("")
        else:
            pieces[-1] += part
    return pieces


def _runs(first: str, middle: tuple[str, ...], last: str) -> Matcher:
    if not middle and not last:
        return lambda text: text.startswith(first)

    def match(text: str) -> bool:
        if not (text.startswith(first) and text.endswith(last)):
            return False
        at, end = len(first), len(text) - len(last)
        for piece in middle:
            at = text.find(piece, at, end)
            if at < 0:
                return False
            at += len(piece)
        return at <= end

    return match


def _after(prefix: str, tail: Sequence[Token]) -> Matcher:
    """A literal prefix and a glob, for the common ARN whose first five components hold no wildcard."""
    if Wild.ONE not in tail:
        return compile_glob((prefix, *tail))
    size, rest = len(prefix), compile_glob(tail)
    return lambda text: text.startswith(prefix) and rest(text[size:])


def _states(parts: Sequence[Token]) -> Matcher:
    """Bit i of the state: the first i units of the pattern are matched. A `*` before unit i keeps bit i alive."""
    masks: dict[str, int] = {}
    any_unit = loops = size = 0
    for part in parts:
        if part is Wild.RUN:
            loops |= 1 << size
        elif isinstance(part, str):
            for unit in _units(part):
                masks[unit] = masks.get(unit, 0) | 1 << size
                size += 1
        else:
            any_unit |= 1 << size
            size += 1
    masks = {unit: mask | any_unit for unit, mask in masks.items()}

    def match(text: str) -> bool:
        state = 1
        for unit in _units(text):
            state = (state & masks.get(unit, any_unit)) << 1 | state & loops
            if not state:
                return False
        return bool(state >> size & 1)

    return match


def _units(text: str) -> str:
    """The text with every character beyond U+FFFF as its two UTF-16 units."""
    if text.isascii() or max(text) <= "\uffff":
        return text
    raw = text.encode("utf-16-be", "surrogatepass")
    return "".join(chr(raw[at] << 8 | raw[at + 1]) for at in range(0, len(raw), 2))
