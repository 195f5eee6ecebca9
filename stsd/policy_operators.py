"""Condition operators: one row each, from the values of a policy to a test of one request value (spec 4.5).

A test answers whether the request's value matches any of the policy's, before negation, or None when the value is
not of the operator's type: such a value satisfies nothing, not even a negated operator. The specification says so
of addresses and ARNs; numbers, dates and bytes follow them, as what cannot be read cannot be compared either.

Variables are expanded where strings and ARNs are compared; elsewhere `${` is no value of the type.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from stsd import policy_values as values
from stsd import policy_variables as variables
from stsd.policy_variables import Context, Piece
from stsd.wildcards import Matcher, Token, any_of, compile_arn, compile_glob

Test = Callable[[str, Context], bool | None]
Compiler = Callable[[Sequence[str], "Dialect"], Test]
T = TypeVar("T")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a document is read: with variables (version 2012-10-17), and whether malformed literals are let stand."""

    variables: bool
    lax: bool


@dataclass(frozen=True, slots=True)
class Operator:
    """One row. `compile` takes the policy's values; raises ValueError for one that is not understood."""

    compile: Compiler
    negated: bool = False


def compile_patterns(
    texts: Sequence[Sequence[Piece]], compile_static: Callable[[Sequence[Token]], Matcher]
) -> Callable[[str, Context], bool]:
    """A test for whether a text matches any pattern; those with variables are compiled anew for each request."""
    static = any_of([compile_static(tokens) for text in texts if (tokens := variables.static(text)) is not None])
    open_ended = tuple(text for text in texts if variables.static(text) is None)
    if not open_ended:
        return lambda text, _context: static(text)

    def test(text: str, context: Context) -> bool:
        if static(text):
            return True
        resolved = (variables.resolve(pieces, context) for pieces in open_ended)
        return any(tokens is not None and compile_static(tokens)(text) for tokens in resolved)

    return test


def compile_arn_patterns(patterns: Sequence[Sequence[Sequence[Piece]]]) -> Callable[[str, Context], bool]:
    """The same for ARNs in six components, each resolved on its own: a value never adds a colon to the pattern."""
    static = any_of([compile_arn(found) for pattern in patterns if (found := _static(pattern)) is not None])
    open_ended = tuple(pattern for pattern in patterns if _static(pattern) is None)
    if not open_ended:
        return lambda text, _context: static(text)

    def test(text: str, context: Context) -> bool:
        return static(text) or any(_matches_arn(pattern, text, context) for pattern in open_ended)

    return test


def _static(pattern: Sequence[Sequence[Piece]]) -> list[tuple[Token, ...]] | None:
    found = [variables.static(component) for component in pattern]
    known = [component for component in found if component is not None]
    return known if len(known) == len(found) else None


def _matches_arn(pattern: Sequence[Sequence[Piece]], text: str, context: Context) -> bool:
    parts = text.split(":", 5)
    if len(parts) != len(pattern):
        return False
    resolved = (variables.resolve(component, context) for component in pattern)
    return all(tokens is not None and compile_glob(tokens)(part) for tokens, part in zip(resolved, parts, strict=True))


def _equal(texts: Sequence[str], dialect: Dialect) -> Test:
    split = [variables.pieces(text, variables=dialect.variables, wildcards=False) for text in texts]
    return compile_patterns(split, lambda tokens: "".join(map(str, tokens)).__eq__)


def _equal_ignoring_case(texts: Sequence[str], dialect: Dialect) -> Test:
    """Lower case, not case folding (spec 4.5). A variable's value is lowered with the pattern it is put into."""
    split = [variables.pieces(text, variables=dialect.variables, wildcards=False) for text in texts]
    test = compile_patterns(split, lambda tokens: "".join(map(str, tokens)).lower().__eq__)
    return lambda text, context: test(text.lower(), context)


def _like(texts: Sequence[str], dialect: Dialect) -> Test:
    split = [variables.pieces(text, variables=dialect.variables, wildcards=True) for text in texts]
    return compile_patterns(split, compile_glob)


def _arn(texts: Sequence[str], dialect: Dialect) -> Test:
    split = [variables.pieces(text, variables=dialect.variables, wildcards=True) for text in texts]
    patterns = _known(texts, [variables.components(text) for text in split], "an ARN", dialect)
    test = compile_arn_patterns(patterns)
    return lambda text, context: None if values.arn(text) is None else test(text, context)


def _typed(
    kind: str,
    read_policy: Callable[[str], V | None],
    read_request: Callable[[str], T | None],
    matches: Callable[[T, V], bool],
) -> Compiler:
    """A compiler for values that are read into a type first; `kind` names the type in a refusal."""

    def compile_values(texts: Sequence[str], dialect: Dialect) -> Test:
        literals = _known(texts, [read_policy(text) for text in texts], kind, dialect)

        def test(text: str, _context: Context) -> bool | None:
            value = read_request(text)
            return None if value is None else any(matches(value, literal) for literal in literals)

        return test

    return compile_values


def _boolean(texts: Sequence[str], dialect: Dialect) -> Test:
    """A request value other than `true` is false; a policy's may be in any case (spec 4.5)."""
    literals = _known(texts, [values.boolean(text) for text in texts], "true or false", dialect)
    return lambda text, _context: (text == "true") in literals


def _address(texts: Sequence[str], dialect: Dialect) -> Test:
    blocks = _known(texts, [values.network(text) for text in texts], "an IP address or CIDR block", dialect)

    def test(text: str, _context: Context) -> bool | None:
        address = values.address(text)
        return None if address is None else any(block.holds(address) for block in blocks)

    return test


def _known(texts: Sequence[str], found: Sequence[V | None], kind: str, dialect: Dialect) -> tuple[V, ...]:
    """The values that could be read. Raises ValueError for another, unless the dialect is lax."""
    for text, value in zip(texts, found, strict=True):
        if value is None and not dialect.lax:
            raise ValueError(f"{text[:100]} is not {kind}")
    return tuple(value for value in found if value is not None)


def _number(relation: Callable[[Any, Any], bool]) -> Compiler:
    return _typed("a number", values.number, values.number, relation)


def _date(relation: Callable[[Any, Any], bool]) -> Compiler:
    return _typed("an ISO 8601 date or epoch seconds", values.date, values.date, relation)


_BINARY = _typed("base64", values.binary, values.binary, operator.eq)

OPERATORS = {
    "StringEquals": Operator(_equal),
    "StringNotEquals": Operator(_equal, negated=True),
    "StringEqualsIgnoreCase": Operator(_equal_ignoring_case),
    "StringNotEqualsIgnoreCase": Operator(_equal_ignoring_case, negated=True),
    "StringLike": Operator(_like),
    "StringNotLike": Operator(_like, negated=True),
    "NumericEquals": Operator(_number(operator.eq)),
    "NumericNotEquals": Operator(_number(operator.eq), negated=True),
    "NumericLessThan": Operator(_number(operator.lt)),
    "NumericLessThanEquals": Operator(_number(operator.le)),
    "NumericGreaterThan": Operator(_number(operator.gt)),
    "NumericGreaterThanEquals": Operator(_number(operator.ge)),
    "DateEquals": Operator(_date(operator.eq)),
    "DateNotEquals": Operator(_date(operator.eq), negated=True),
    "DateLessThan": Operator(_date(operator.lt)),
    "DateLessThanEquals": Operator(_date(operator.le)),
    "DateGreaterThan": Operator(_date(operator.gt)),
    "DateGreaterThanEquals": Operator(_date(operator.ge)),
    "Bool": Operator(_boolean),
    "BinaryEquals": Operator(_BINARY),
    "IpAddress": Operator(_address),
    "NotIpAddress": Operator(_address, negated=True),
    "ArnEquals": Operator(_arn),
    "ArnLike": Operator(_arn),
    "ArnNotEquals": Operator(_arn, negated=True),
    "ArnNotLike": Operator(_arn, negated=True),
}
"""Every operator but Null, which looks at whether a key is there and not at its value."""
