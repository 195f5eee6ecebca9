"""Policy variables: `${key}` and `${key, 'default'}` in resources and condition values (spec 4.4).

Only documents of version 2012-10-17 have them; in older ones `${` is text. `${*}`, `${?}` and `${$}` stand for the
characters themselves. What a variable brings in is literal: a `*` in a user's name is no wildcard.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stsd.wildcards import Token, Wild, tokens

# Condition keys in lower case and their values; a tuple is a multivalued key, however many values it holds.
Context = Mapping[str, str | tuple[str, ...]]

_VARIABLE = re.compile(r"\$\{(?:(?P<literal>[*?$])|(?P<key>[^,'${}]+)(?:,\s*'(?P<default>[^']*)'\s*)?)\}")


@dataclass(frozen=True, slots=True)
class Variable:
    """One `${key}`. `key` is in lower case."""

    key: str
    default: str | None

    def value(self, context: Context) -> str | None:
        """The value, else the default. Multivalued keys cannot be used, so they count as having none (spec 4.4)."""
        value = context.get(self.key)
        return value if isinstance(value, str) else self.default


Piece = Token | Variable


def pieces(text: str, *, variables: bool, wildcards: bool) -> tuple[Piece, ...]:
    """Split a text of a policy. Raises ValueError for a `${` that does not begin a variable."""
    found: list[Piece] = []
    at = 0
    while variables and (start := text.find("${", at)) >= 0:
        found.extend(_plain(text[at:start], wildcards))
        variable = _VARIABLE.match(text, start)
        if variable is None or not (variable["literal"] or ":" in variable["key"]):
            raise ValueError(f"{text[start : start + 40]} is not a policy variable")
        found.append(variable["literal"] or Variable(variable["key"].strip().lower(), variable["default"]))
        at = variable.end()
    found.extend(_plain(text[at:], wildcards))
    return tuple(found)


def resolve(parts: Sequence[Piece], context: Context) -> tuple[Token, ...] | None:
    """The pieces with every variable replaced; None when one has neither value nor default."""
    found: list[Token] = []
    for part in parts:
        value = part.value(context) if isinstance(part, Variable) else part
        if value is None:
            return None
        found.append(value)
    return tuple(found)


def static(parts: Sequence[Piece]) -> tuple[Token, ...] | None:
    """The pieces as tokens when there is no variable among them, else None."""
    found = tuple(part for part in parts if not isinstance(part, Variable))
    return found if len(found) == len(parts) else None


def components(parts: Sequence[Piece]) -> tuple[tuple[Piece, ...], ...] | None:
    """Split at the first five colons that the policy itself wrote; None unless that makes six (spec 4.5)."""
    found: list[list[Piece]] = [[]]
    for part in parts:
        if not isinstance(part, str):
            found[-1].append(part)
            continue
        first, *rest = part.split(":", 6 - len(found))
        found[-1].append(first)
        found.extend([piece] for piece in rest)
    return tuple(tuple(filter(None, component)) for component in found) if len(found) == 6 else None


def is_run(parts: Sequence[Piece]) -> bool:
    """Whether the text is `*` alone."""
    return tuple(parts) == (Wild.RUN,)


def _plain(text: str, wildcards: bool) -> tuple[Token, ...]:
    if wildcards:
        return tokens(text)
    return (text,) if text else ()
