"""Whether the conditions of a statement hold in a request context (spec 4.5).

All conditions must hold; within one, values are alternatives (for a negated operator: none may match).

| the key is        | positive | negated | IfExists | ForAnyValue            | ForAllValues            |
|-------------------|----------|---------|----------|------------------------|-------------------------|
| absent or empty   | no       | yes     | yes      | no                     | yes                     |
| one value         | compare  | not     | same     | the value satisfies it | the value satisfies it  |
| multivalued       | no       | yes     | same     | some value satisfies   | every value satisfies   |
| of another type   | no       | no      | no       | that value does not    | that value does not     |

Null asks only whether the key is there. An empty text is there; an empty set of values is not.
"""

from __future__ import annotations

from stsd.policy import Condition
from stsd.policy_variables import Context as Context


def hold(conditions: tuple[Condition, ...], context: Context) -> bool:
    """Whether all of a statement's conditions are true; none is true always."""
    for condition in conditions:  # noqa: SIM110 - a generator would cost more than most conditions
        if not holds(condition, context):
            return False
    return True


def holds(condition: Condition, context: Context) -> bool:
    """Whether one condition is true."""
    value = context.get(condition.key)
    if value is None or value == ():
        return _holds_without_key(condition)
    if condition.quantifier is None:
        if isinstance(value, str):
            return _satisfies(condition, value, context)
        return _satisfies(condition, value[0], context) if condition.base == "Null" else condition.negated
    values = (value,) if isinstance(value, str) else value
    satisfied = (_satisfies(condition, one, context) for one in values)
    return any(satisfied) if condition.quantifier == "ForAnyValue" else all(satisfied)


def _holds_without_key(condition: Condition) -> bool:
    if condition.if_exists:
        return True
    if condition.quantifier is not None:
        return condition.quantifier == "ForAllValues"
    return condition.absent


def _satisfies(condition: Condition, value: str, context: Context) -> bool:
    """Whether one value of the request matches some value of the policy, or none of them if negated."""
    matches = condition.test(value, context)
    return False if matches is None else matches != condition.negated
