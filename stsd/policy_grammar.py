"""One statement of a policy: its grammar, and what it is compiled to (spec 4.1).

    stmt = { Sid?, Effect, Principal? | NotPrincipal?, Action | NotAction, Resource? | NotResource?,
             Condition?: { operator: { key: value | [value…] } } }

Everything that is not understood is refused; nothing is skipped. Element names are case-sensitive, action names and
condition keys are not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from stsd import policy_principals, policy_variables
from stsd.policy_operators import OPERATORS, Dialect, Test, compile_arn_patterns
from stsd.policy_principals import InvalidPrincipalError, Principals
from stsd.policy_variables import Context, Piece
from stsd.wildcards import Matcher, any_of, compile_glob

Kind = Literal["identity", "trust", "session"]
Effect = Literal["Allow", "Deny"]
Quantifier = Literal["ForAllValues", "ForAnyValue"]
ResourceTest = Callable[[str, Context], bool]

SYNTAX = "Syntax errors in policy."
NO_VENDOR = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
ASSUME_ACTIONS = (
    "sts:assumerole",
    "sts:assumerolewithsaml",
    "sts:assumerolewithwebidentity",
    "sts:tagsession",
    "sts:setsourceidentity",
    "sts:setcontext",
)
ELEMENTS = frozenset(
    ("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
)

_ACTION = re.compile(r"\*|[A-Za-z0-9-]+:[A-Za-z0-9_.*?-]+")
_OPERATOR = re.compile(r"(?:(?P<quantifier>ForAllValues|ForAnyValue):)?(?P<base>[A-Za-z]+?)(?P<if_exists>IfExists)?")


class PolicyError(ValueError):
    """A policy that is not understood. The text is what IAM or STS say; `detail` names the place and the fault."""

    def __init__(self, message: str, detail: str) -> None:
        super().__init__(message)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Condition:
    """One key under one operator. `test` compares one request value with all of the policy's, before negation.

    `absent` is what the operator itself says of a key that is not there (spec 4.5); `key` is in lower case.
    """

    base: str
    key: str
    quantifier: Quantifier | None
    if_exists: bool
    negated: bool
    absent: bool
    test: Test


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, compiled. `name` is its Sid, else its index.

    `actions` takes an action in lower case. `resources` and `principals` are None where the kind of policy has none.
    `action_texts` and `literal_texts` (resources and condition values) are as written.
    """

    name: str
    effect: Effect
    actions: Matcher
    resources: ResourceTest | None
    principals: Principals | None
    conditions: tuple[Condition, ...]
    action_texts: tuple[str, ...]
    literal_texts: tuple[str, ...]


def statement(value: object, index: int, kind: Kind, dialect: Dialect) -> Statement:
    """Read one statement. Raises PolicyError."""
    where = f"Statement[{index}]"
    entry = members(value, where, ELEMENTS)
    if entry.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError(SYNTAX, f"{where}.Effect must be Allow or Deny")
    sid = entry.get("Sid", "")
    if not isinstance(sid, str):
        raise PolicyError(SYNTAX, f"{where}.Sid must be a text")
    principals = _principals(entry, where, kind)
    action_texts, actions = _actions(entry, where, kind)
    resource_texts, resources = _resources(entry, where, kind, dialect)
    condition_texts, conditions = _conditions(entry.get("Condition", {}), f"{where}.Condition", dialect)
    return Statement(
        name=sid or str(index),
        effect="Allow" if entry["Effect"] == "Allow" else "Deny",
        actions=actions,
        resources=resources,
        principals=principals,
        conditions=conditions,
        action_texts=action_texts,
        literal_texts=(*resource_texts, *condition_texts),
    )


def members(value: object, where: str, known: frozenset[str] | None = None) -> Mapping[str, object]:
    """The members of an object, all of them among `known`. Raises PolicyError."""
    if not isinstance(value, Mapping):
        raise PolicyError(SYNTAX, f"{where} must be an object")
    for name in value:
        if not isinstance(name, str) or (known is not None and name not in known):
            allowed = f"; known: {', '.join(sorted(known))}" if known else ""
            raise PolicyError(SYNTAX, f"{where} has an unknown element {str(name)[:100]}{allowed}")
    return value


def _principals(entry: Mapping[str, object], where: str, kind: Kind) -> Principals | None:
    if kind != "trust":
        for name in ("Principal", "NotPrincipal"):
            if name in entry:
                raise PolicyError("Policy document should not specify a principal.", f"{where} has {name}")
        return None
    if "NotPrincipal" in entry:
        raise PolicyError("Has prohibited field NotPrincipal", f"{where}: a trust policy says whom it names")
    if "Principal" not in entry:
        raise PolicyError("Missing required field Principal", f"{where} has no Principal")
    try:
        return policy_principals.parse(entry["Principal"])
    except InvalidPrincipalError as error:
        raise PolicyError(str(error), f"{where}.Principal has a form that is not accepted") from None
    except ValueError as error:
        raise PolicyError(SYNTAX, f"{where}.Principal: {error}") from None


def _either(entry: Mapping[str, object], name: str, where: str, missing: str) -> tuple[tuple[str, ...], bool]:
    """The texts of an element that has a negated form, and whether it is the negated one."""
    negated = f"Not{name}"
    if name in entry and negated in entry:
        raise PolicyError(SYNTAX, f"{where} has both {name} and {negated}")
    texts = _texts(entry.get(name, entry.get(negated, ())), f"{where}.{name}")
    if not texts:
        raise PolicyError(missing, f"{where} has neither {name} nor {negated}, or an empty one")
    return texts, negated in entry


def _texts(value: object, where: str) -> tuple[str, ...]:
    """A scalar or a list of texts; numbers and booleans of conditions as they would be written in quotes."""
    found = []
    for item in value if isinstance(value, list | tuple) else (value,):
        text = _text(item) if ".Condition" in where else item
        if not isinstance(text, str):
            raise PolicyError(SYNTAX, f"{where} takes one text or a list of texts")
        found.append(text)
    return tuple(found)


def _text(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) < 1 << 256:
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return format(Decimal(repr(value)), "f")
    return value


def _actions(entry: Mapping[str, object], where: str, kind: Kind) -> tuple[tuple[str, ...], Matcher]:
    texts, negated = _either(entry, "Action", where, "Policy statement must contain actions.")
    for text in texts:
        if not _ACTION.fullmatch(text):
            message = SYNTAX if ":" in text else NO_VENDOR
            raise PolicyError(message, f"{where}.Action: {text[:100]} is not an action")
    matchers = [compile_glob(text.lower()) for text in texts]
    if kind == "trust":
        _check_assume_actions(texts, matchers, negated, where)
    matches = any_of(matchers)
    return texts, (lambda action: not matches(action)) if negated else matches


def _check_assume_actions(texts: tuple[str, ...], matchers: list[Matcher], negated: bool, where: str) -> None:
    """A trust policy speaks of assuming the role and of nothing else (spec 4.1)."""
    if negated:
        raise PolicyError("Has prohibited field NotAction", f"{where}: a trust policy says which actions it means")
    for text, matches in zip(texts, matchers, strict=True):
        if not any(map(matches, ASSUME_ACTIONS)):
            raise PolicyError(
                "AssumeRole policy may only specify STS AssumeRole actions.", f"{where}.Action: {text} is none"
            )


def _resources(
    entry: Mapping[str, object], where: str, kind: Kind, dialect: Dialect
) -> tuple[tuple[str, ...], ResourceTest | None]:
    if kind == "trust":
        for name in ("Resource", "NotResource"):
            if name in entry:
                raise PolicyError(f"Has prohibited field {name}", f"{where}: the resource is the role itself")
        return (), None
    texts, negated = _either(entry, "Resource", where, "Policy statement must contain resources.")
    patterns = [_resource(text, f"{where}.Resource", dialect) for text in texts]
    if None in patterns:
        return texts, lambda _resource, _context: not negated
    matches = compile_arn_patterns([pattern for pattern in patterns if pattern is not None])
    return texts, (lambda resource, context: not matches(resource, context)) if negated else matches


def _resource(text: str, where: str, dialect: Dialect) -> tuple[tuple[Piece, ...], ...] | None:
    """The components of an ARN with wildcards; None for `*`, which is every resource."""
    try:
        parts = policy_variables.pieces(text, variables=dialect.variables, wildcards=True)
    except ValueError as error:
        raise PolicyError(SYNTAX, f"{where}: {error}") from None
    if policy_variables.is_run(parts):
        return None
    found = policy_variables.components(parts)
    if found is None or found[0] != ("arn",) or not (found[1] and found[2] and found[5]):
        raise PolicyError(f'Resource {text} must be in ARN format or "*".', f"{where}: {text[:100]} is not an ARN")
    for component, message in (
        (found[1], f'Partition "{text.split(":")[1]}" is not valid for resource "{text}".'),
        (found[2], "Resource vendor must be fully qualified and cannot contain regexes."),
    ):
        if not all(isinstance(piece, str) for piece in component):
            raise PolicyError(message, f"{where}: {text[:100]} names no single partition and service")
    return found


def _conditions(value: object, where: str, dialect: Dialect) -> tuple[tuple[str, ...], tuple[Condition, ...]]:
    texts: list[str] = []
    found: list[Condition] = []
    for operator, key, values in _condition_values(value, where):
        texts.extend(values)
        try:
            found.append(_condition(operator, key, values, dialect))
        except ValueError as error:
            raise PolicyError(SYNTAX, f"{where}.{operator[:100]}.{key[:100]}: {error}") from None
    return tuple(texts), tuple(found)


def _condition_values(value: object, where: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for operator, keys in members(value, where).items():
        entries = members(keys, f"{where}.{operator[:100]}")
        parts = _OPERATOR.fullmatch(operator)
        if parts is None or not (parts["base"] in OPERATORS or (parts["base"] == "Null" and not parts["if_exists"])):
            raise PolicyError(f"Invalid Condition type : {operator}.", f"{where}: no operator {operator[:100]}")
        if not entries:
            raise PolicyError(SYNTAX, f"{where}.{operator} has no condition key")
        for key, given in entries.items():
            values = _texts(given, f"{where}.{operator}.{key[:100]}")
            if not values:
                raise PolicyError(SYNTAX, f"{where}.{operator}.{key[:100]} has no values")
            if ":" not in key.strip(":"):
                raise PolicyError(NO_VENDOR, f"{where}.{operator}: {key[:100]} is not a condition key")
            yield operator, key, values


def _condition(name: str, key: str, values: tuple[str, ...], dialect: Dialect) -> Condition:
    parts = _OPERATOR.fullmatch(name)
    assert parts is not None
    operator = OPERATORS.get(parts["base"])
    if operator is None:
        negated, (absent, test) = False, _null(values, dialect)
    else:
        negated = absent = operator.negated
        test = operator.compile(values, dialect)
    quantifier: dict[str | None, Quantifier] = {"ForAllValues": "ForAllValues", "ForAnyValue": "ForAnyValue"}
    return Condition(
        base=parts["base"],
        key=key.lower(),
        quantifier=quantifier.get(parts["quantifier"]),
        if_exists=parts["if_exists"] is not None,
        negated=negated,
        absent=absent,
        test=test,
    )


def _null(values: tuple[str, ...], dialect: Dialect) -> tuple[bool, Test]:
    """Null: `true` is satisfied by a key that is absent, `false` by one that is present."""
    compiled = OPERATORS["Bool"].compile(values, dialect)
    present = bool(compiled("false", {}))
    return bool(compiled("true", {})), lambda _text, _context: present
