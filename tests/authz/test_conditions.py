"""Condition blocks by the tables of spec 4.5, and variables by 4.4."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsd import policy
from stsd.authz.conditions import hold
from stsd.policy_operators import OPERATORS
from stsd.policy_variables import Context

KEY = "aws:PrincipalTag/Key"
NAME = "aws:principaltag/key"
ARN = "arn:aws:iam::111122223333:role/app/deploy"


def holds(
    operator: str,
    values: object,
    value: str | tuple[str, ...] | None,
    *,
    kind: policy.Kind = "identity",
    version: str = "2012-10-17",
    **other: str | tuple[str, ...],
) -> bool:
    """Whether `operator` over the key's policy values holds when the request has `value` (None: no such key)."""
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {operator: {KEY: values}}}
    parsed = policy.parse({"Version": version, "Statement": statement}, kind)
    context: Context = {f"aws:{name}": given for name, given in other.items()} | (
        {} if value is None else {NAME: value}
    )
    return hold(parsed.statements[0].conditions, context)


COMPARISONS = [
    ("StringEquals", "a", "a", True),
    ("StringEquals", "a", "A", False),
    ("StringEquals", "a*", "ab", False),
    ("StringEquals", ["a", "b"], "b", True),
    ("StringEquals", "", "", True),
    ("StringNotEquals", ["a", "b"], "b", False),
    ("StringNotEquals", ["a", "b"], "c", True),
    ("StringEqualsIgnoreCase", "Straße", "STRAßE", True),
    ("StringEqualsIgnoreCase", "Straße", "STRASSE", False),
    ("StringNotEqualsIgnoreCase", "a", "A", False),
    ("StringLike", "a?c*", "abcd", True),
    ("StringLike", "A*", "ab", False),
    ("StringLike", "*", "", True),
    ("StringNotLike", ["a*", "b*"], "bc", False),
    ("NumericEquals", "10", "10.0", True),
    ("NumericEquals", "0.1", "0.10000000000000000001", False),
    ("NumericNotEquals", "10", "11", True),
    ("NumericLessThan", "10", "9", True),
    ("NumericLessThan", "10", "10", False),
    ("NumericLessThan", ["5", "10"], "7", True),
    ("NumericLessThanEquals", "10", "10", True),
    ("NumericGreaterThan", "-1", "0", True),
    ("NumericGreaterThanEquals", "10", "9.99", False),
    ("DateEquals", "2026-11-23T12:00:00Z", "1795435200", True),
    ("DateEquals", "2026-11-23T13:00:00+01:00", "2026-11-23T12:00:00.000Z", True),
    ("DateEquals", "2026-11-23T12:00:00.001Z", "2026-11-23T12:00:00.0019Z", True),
    ("DateEquals", "2026-11-23T12:00:00.001Z", "2026-11-23T12:00:00.002Z", False),
    ("DateNotEquals", "2026-11-23", "2026-11-24", True),
    ("DateLessThan", "2026-11-23", "2026-11-22T23:59:59.999Z", True),
    ("DateLessThanEquals", "2026-11-23", "2026-11-23T00:00:00Z", True),
    ("DateGreaterThan", "1795435200", "1795435200.001", True),
    ("DateGreaterThanEquals", "2026-11-23T12:00Z", "2026-11-23T11:59:59Z", False),
    ("Bool", "true", "true", True),
    ("Bool", "TRUE", "true", True),
    ("Bool", "true", "True", False),
    ("Bool", "false", "anything", True),
    ("BinaryEquals", "AAE=", "AAE=", True),
    ("BinaryEquals", "AAE=", "AAI=", False),
    ("IpAddress", "203.0.113.0/24", "203.0.113.9", True),
    ("IpAddress", "203.0.113.77/24", "203.0.113.9", True),
    ("IpAddress", "203.0.113.9", "203.0.113.9", True),
    ("IpAddress", "203.0.113.9", "203.0.113.10", False),
    ("IpAddress", "0.0.0.0/0", "::1", False),
    ("IpAddress", "2001:db8::/32", "2001:db8::1", True),
    ("IpAddress", "2001:db8::1/32", "2001:db8::1", False),
    ("IpAddress", "2001:db8::1", "2001:0db8:0::1", True),
    ("IpAddress", "203.0.113.0/24", "::ffff:203.0.113.9", True),
    ("NotIpAddress", "203.0.113.0/24", "203.0.113.9", False),
    ("NotIpAddress", "203.0.113.0/24", "198.51.100.1", True),
    ("ArnEquals", "arn:aws:iam::111122223333:role/*", ARN, True),
    ("ArnLike", "arn:aws:iam::*:role/app/deploy", ARN, True),
    ("ArnLike", "arn:aws:iam::1111*3:role/???/deploy", ARN, True),
    ("ArnLike", "arn:aws:*:*:*:*", "arn:aws:sns:eu-west-1:1:topic:sub", True),
    ("ArnNotEquals", "arn:aws:iam::111122223333:role/*", ARN, False),
    ("ArnNotLike", "arn:aws:iam::111122223333:user/*", ARN, True),
    ("Null", "true", "x", False),
    ("Null", "false", "x", True),
    ("Null", "false", "", True),
]


@pytest.mark.parametrize(("operator", "values", "value", "expected"), COMPARISONS)
def test_an_operator_compares_one_value(operator, values, value, expected):
    assert holds(operator, values, value) is expected
    if operator != "Null":
        assert holds(f"{operator}IfExists", values, value) is expected
    assert holds(f"ForAnyValue:{operator}", values, (value,)) is expected
    assert holds(f"ForAllValues:{operator}", values, (value,)) is expected


def test_every_operator_has_a_comparison_here():
    assert {operator for operator, *_ in COMPARISONS} == {*OPERATORS, "Null"}


LITERAL = {
    "Str": "a",
    "Num": "1",
    "Dat": "2026-11-23",
    "Boo": "true",
    "Bin": "AAE=",
    "IpA": "10.0.0.0/8",
    "Not": "10.0.0.0/8",
    "Arn": ARN,
}
"""A policy value that each family of operators accepts, by the beginning of the operator's name."""


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_absent_key_satisfies_only_negated_operators_and_if_exists(operator):
    literal, negated = LITERAL[operator[:3]], "Not" in operator
    for absent in (None, ()):
        assert holds(operator, literal, absent) is negated
        assert holds(f"{operator}IfExists", literal, absent) is True
        assert holds(f"ForAnyValue:{operator}", literal, absent) is False
        assert holds(f"ForAnyValue:{operator}IfExists", literal, absent) is True
        assert holds(f"ForAllValues:{operator}", literal, absent) is True


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_multivalued_key_without_a_set_prefix_satisfies_only_negated_operators(operator):
    literal, negated = LITERAL[operator[:3]], "Not" in operator
    for value in ((literal,), (literal, literal)):
        assert holds(operator, literal, value) is negated
        assert holds(f"{operator}IfExists", literal, value) is negated


def test_a_key_is_null_when_absent_or_without_values_and_not_when_empty():
    assert holds("Null", "true", None)
    assert holds("Null", "true", ())
    assert not holds("Null", "false", None)
    assert holds("Null", "false", ("a", "b"))
    assert not holds("Null", "true", ("a",))
    assert holds("Null", ["true", "false"], None)
    assert holds("Null", ["true", "false"], "a")


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("ForAnyValue:StringEquals", ("a", "x"), True),
        ("ForAnyValue:StringEquals", ("x", "y"), False),
        ("ForAnyValue:StringEquals", "a", True),
        ("ForAllValues:StringEquals", ("a", "b", "a"), True),
        ("ForAllValues:StringEquals", ("a", "x"), False),
        ("ForAnyValue:StringNotEquals", ("a", "x"), True),
        ("ForAnyValue:StringNotEquals", ("a", "b"), False),
        ("ForAllValues:StringNotEquals", ("x", "y"), True),
        ("ForAllValues:StringNotEquals", ("x", "b"), False),
        ("ForAllValues:StringLike", ("a",), True),
    ],
)
def test_a_set_prefix_quantifies_over_the_values_of_the_request(operator, value, expected):
    assert holds(operator, ["a", "b"], value) is expected


MALFORMED = {
    "IpAddress": ["", "10.0.0", "10.0.0.1/32", "fe80::1%eth0", "010.0.0.1", "x" * 10_000],
    "ArnLike": ["", "*", "arn:aws:iam::1", "arn:aws:iam::1:", "arn::iam::1:x", "ARN:aws:iam::1:x"],
    "NumericEquals": ["", "ten", "1e3", "NaN", "Infinity", "٣", "1 ", "0x10"],
    "DateEquals": ["", "yesterday", "2026-02-30", "0000-01-01", "2026-11-23T25:00:00Z", "2026-W01", "9" * 40],
    "BinaryEquals": ["?", "AAE", "é"],
}
NEGATED = {
    "IpAddress": "NotIpAddress",
    "ArnLike": "ArnNotLike",
    "NumericEquals": "NumericNotEquals",
    "DateEquals": "DateNotEquals",
}


@pytest.mark.parametrize(
    ("operator", "value"), [(name, value) for name, values in MALFORMED.items() for value in values]
)
def test_a_malformed_request_value_satisfies_nothing_not_even_negated(operator, value):
    literal = LITERAL[operator[:3]]
    assert not holds(operator, literal, value)
    assert not holds(f"{operator}IfExists", literal, value)
    assert not holds(f"ForAnyValue:{operator}", literal, (value,))
    if operator in NEGATED:
        assert not holds(NEGATED[operator], literal, value)


def test_a_malformed_literal_of_a_session_policy_never_matches():
    assert not holds("NumericEquals", "ten", "ten", kind="session")
    assert not holds("ArnLike", "*", ARN, kind="session")
    assert not holds("Bool", "yes", "true", kind="session")
    assert holds("NumericEquals", ["ten", "10"], "10", kind="session")
    assert holds("NumericNotEquals", "ten", "10", kind="session")


def test_plain_bool_false_does_not_match_an_absent_mfa_key():
    assert not holds("Bool", "false", None)
    assert holds("BoolIfExists", "false", None)


def test_a_key_of_a_condition_is_case_insensitive():
    statement = {
        "Effect": "Allow",
        "Action": "*",
        "Resource": "*",
        "Condition": {"Bool": {"AWS:SECURETRANSPORT": "true"}},
    }
    parsed = policy.parse({"Statement": statement}, "identity")
    assert hold(parsed.statements[0].conditions, {"aws:securetransport": "true"})


def test_all_operators_and_all_keys_must_hold():
    condition = {"StringEquals": {"aws:a": "1", "aws:b": "2"}, "Bool": {"aws:c": "true"}}
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}
    conditions = policy.parse({"Statement": statement}, "identity").statements[0].conditions
    full: Context = {"aws:a": "1", "aws:b": "2", "aws:c": "true"}
    assert hold(conditions, full)
    for missing in full:
        assert not hold(conditions, {key: value for key, value in full.items() if key != missing})


def test_a_variable_takes_the_value_of_its_key_whatever_the_case():
    assert holds("StringEquals", "${AWS:UserName}", "dave", username="dave")
    assert not holds("StringEquals", "${aws:username}", "dave", username="Dave")
    assert holds("StringEqualsIgnoreCase", "X-${aws:username}", "x-dave", username="Dave")
    assert holds("StringLike", "home/${aws:username}/*", "home/dave/x", username="dave")
    assert holds("ArnLike", "arn:aws:iam::${aws:a}:role/*", ARN, a="111122223333")


def test_what_a_variable_brings_in_is_no_wildcard_and_no_colon():
    assert not holds("StringLike", "${aws:username}", "dave", username="*")
    assert holds("StringLike", "${aws:username}", "*", username="*")
    assert not holds("ArnLike", "arn:aws:iam::111122223333:${aws:a}", ARN, a="*")
    assert not holds("ArnLike", "arn:aws:${aws:a}:111122223333:role/app/deploy", ARN, a="iam:", kind="session")


def test_a_variable_without_value_matches_nothing_and_its_default_stands_in():
    assert not holds("StringEquals", "${aws:username}", "")
    assert holds("StringNotEquals", "${aws:username}", "x")
    assert holds("StringEquals", ["${aws:username}", "x"], "x")
    assert holds("StringEquals", "${aws:username, 'no one'}", "no one")
    assert holds("StringEquals", "${aws:username, ''}", "")
    assert not holds("StringEquals", "${aws:username, 'no one'}", "no one", username="dave")
    assert not holds("StringEquals", "${aws:tagkeys}", "a", tagkeys=("a",))


def test_escaped_wildcards_are_literal():
    assert holds("StringLike", "${*}${?}${$}*", "*?$x")
    assert not holds("StringLike", "${*}", "x")
    assert holds("StringEquals", "${$}{aws:username}", "${aws:username}", username="dave")


def test_variables_are_text_in_the_older_version():
    assert holds("StringEquals", "${aws:username}", "${aws:username}", version="2008-10-17", username="dave")
    assert not holds("StringEquals", "${aws:username}", "dave", version="2008-10-17", username="dave")


@given(
    st.sampled_from(
        [prefix + base for prefix in ("", "ForAnyValue:", "ForAllValues:") for base in [*OPERATORS, "Null"]]
    ),
    st.none() | st.text(max_size=20) | st.lists(st.text(max_size=20), max_size=3).map(tuple),
)
def test_no_request_value_makes_an_operator_raise(operator, value):
    literal = "true" if operator.endswith("Null") else LITERAL[operator.rpartition(":")[2][:3]]
    assert holds(operator, literal, value) in (True, False)
