"""Policy documents: what is understood, what is refused and in which words."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsd import policy
from stsd.policy import ADMINISTRATOR_ACCESS, AWS_MANAGED, PolicyError

ACCOUNT = "111122223333"
USER = f"arn:aws:iam::{ACCOUNT}:user/team/dave"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app/deploy"
INVALID_JSON = "This policy contains invalid Json"
SYNTAX = "Syntax errors in policy."


def identity(version: str = "2012-10-17", **elements: object) -> dict[str, object]:
    """An identity policy of one statement; an element given as None is left out."""
    entry = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", **elements}
    return {"Version": version, "Statement": [{k: v for k, v in entry.items() if v is not None}]}


def trust(**elements: object) -> dict[str, object]:
    entry = {"Effect": "Allow", "Principal": {"AWS": USER}, "Action": "sts:AssumeRole", **elements}
    return {"Version": "2012-10-17", "Statement": [{k: v for k, v in entry.items() if v is not None}]}


def refusal(document: object, kind: policy.Kind) -> str:
    with pytest.raises(PolicyError) as refused:
        policy.parse(document if isinstance(document, str) else json.dumps(document), kind)
    assert refused.value.detail
    return str(refused.value)


def test_every_element_of_the_grammar_is_understood():
    document = {
        "Version": "2012-10-17",
        "Id": "all",
        "Statement": [
            {
                "Sid": "One",
                "Effect": "Allow",
                "Action": ["s3:Get*", "iam:*"],
                "Resource": ["arn:aws:s3:::bucket/${aws:username}/*", "arn:aws:iam::*:role/x"],
                "Condition": {
                    "StringEquals": {"aws:PrincipalTag/team": ["a", "b"]},
                    "Bool": {"aws:SecureTransport": True},
                },
            },
            {"Effect": "Deny", "NotAction": "sts:*", "NotResource": "arn:aws:sts:::x"},
        ],
    }
    found = policy.parse(document, "identity")
    assert [(statement.name, statement.effect) for statement in found.statements] == [("One", "Allow"), ("1", "Deny")]
    assert json.loads(found.text) == document


def test_the_text_is_minified_and_keeps_the_order_of_its_members():
    text = '{ "Statement" : {"Resource":"*", "Action":"*", "Effect":"Allow"},\n "Version": "2012-10-17" }'
    found = policy.parse(text, "identity")
    assert found.text == '{"Statement":{"Resource":"*","Action":"*","Effect":"Allow"},"Version":"2012-10-17"}'
    assert policy.parse(found.text, "identity") == found


def test_a_policy_shows_its_actions_and_literals_as_written():
    condition = {"StringLike": {"aws:username": "A*"}}
    [statement] = policy.parse(identity(Action=["S3:*"], Condition=condition), "identity").statements
    assert statement.action_texts == ("S3:*",)
    assert statement.literal_texts == ("*", "A*")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1",
        '{"Statement": NaN}',
        '{"Version": "2012-10-17", "Version": "2012-10-17"}',
        "[" * 100_000,
        "\ufeff{}",
    ],
    ids=["empty", "open", "list", "nan", "duplicate", "deep", "bom"],
)
def test_text_that_is_no_json_is_refused(text):
    assert refusal(text, "identity") == INVALID_JSON
    assert refusal(text, "trust") == INVALID_JSON
    assert refusal(text, "session") == SYNTAX


def test_a_key_given_twice_inside_a_condition_is_refused():
    text = json.dumps(identity(Condition={"StringEquals": {"aws:a": "1", "aws:b": "2"}}))
    assert refusal(text.replace("aws:b", "aws:a"), "identity") == INVALID_JSON


def test_half_a_surrogate_pair_is_refused():
    assert refusal(json.dumps(identity(Sid="\ud83d")), "identity") == INVALID_JSON


@pytest.mark.parametrize(
    "document",
    [
        [],
        "text",
        {},
        {"Statement": []},
        {"Statement": ["text"]},
        identity("2012-10-18"),
        identity("2012-10-17") | {"Version": 20121017},
        identity() | {"Id": 7},
        identity() | {"statement": []},
        identity(Sid=7),
        identity(Effect="allow"),
        identity(Effect=None),
        identity(Efect="Allow"),
        identity(NotAction="s3:*"),
        identity(NotResource="arn:aws:s3:::b"),
        identity(Action=[7]),
        identity(Action="s3:Get:Object"),
        identity(Action="s3*:GetObject"),
        identity(Action="s3:${aws:username}"),
        identity(Resource={"Ref": "bucket"}),
        identity(Resource="arn:aws:s3:::${aws:username"),
        identity(Resource="arn:aws:s3:::${username}"),
        identity(Condition=[]),
        identity(Condition={"StringEquals": "text"}),
        identity(Condition={"StringEquals": {}}),
        identity(Condition={"StringEquals": {"aws:username": []}}),
        identity(Condition={"StringEquals": {"aws:username": {"a": "b"}}}),
        identity(Condition={"StringEquals": {"aws:username": None}}),
        identity(Condition={"NumericEquals": {"s3:max-keys": "ten"}}),
        identity(Condition={"NumericEquals": {"s3:max-keys": "${aws:username}"}}),
        identity(Condition={"DateLessThan": {"aws:CurrentTime": "2026-02-30"}}),
        identity(Condition={"Bool": {"aws:SecureTransport": "yes"}}),
        identity(Condition={"Null": {"aws:username": "maybe"}}),
        identity(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/33"}}),
        identity(Condition={"ArnLike": {"aws:PrincipalArn": "arn:aws:iam:*"}}),
        identity(Condition={"BinaryEquals": {"x:y": "?"}}),
    ],
    ids=lambda document: json.dumps(document)[:90],
)
def test_what_is_not_understood_is_refused(document):
    if not isinstance(document, dict):
        document = json.dumps(document)
    assert refusal(document, "identity") == SYNTAX


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"Action": None}, "Policy statement must contain actions."),
        ({"Action": []}, "Policy statement must contain actions."),
        ({"Resource": None}, "Policy statement must contain resources."),
        ({"Action": "GetObject"}, "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
        ({"Resource": "bucket"}, 'Resource bucket must be in ARN format or "*".'),
        ({"Resource": "arn:aws:s3:::"}, 'Resource arn:aws:s3::: must be in ARN format or "*".'),
        ({"Resource": "arn:*:s3:::b"}, 'Partition "*" is not valid for resource "arn:*:s3:::b".'),
        ({"Resource": "arn:aws:*:::b"}, "Resource vendor must be fully qualified and cannot contain regexes."),
        ({"Principal": "*"}, "Policy document should not specify a principal."),
        ({"NotPrincipal": {"AWS": "*"}}, "Policy document should not specify a principal."),
        ({"Condition": {"StringEqual": {"aws:a": "b"}}}, "Invalid Condition type : StringEqual."),
        ({"Condition": {"stringequals": {"aws:a": "b"}}}, "Invalid Condition type : stringequals."),
        ({"Condition": {"NullIfExists": {"aws:a": "true"}}}, "Invalid Condition type : NullIfExists."),
        ({"Condition": {"ForSome:StringLike": {"aws:a": "b"}}}, "Invalid Condition type : ForSome:StringLike."),
        (
            {"Condition": {"StringEquals": {"username": "b"}}},
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["identity", "session"])
def test_a_refusal_says_what_iam_says(elements, message, kind):
    assert refusal(identity(**elements), kind) == message


def test_a_refusal_names_the_place_for_whoever_wrote_the_policy():
    with pytest.raises(PolicyError) as refused:
        policy.parse(identity(Condition={"NumericEquals": {"s3:max-keys": "ten"}}), "identity")
    assert refused.value.detail == "Statement[0].Condition.NumericEquals.s3:max-keys: ten is not a number"


@pytest.mark.parametrize(
    "condition",
    [
        {"NumericEquals": {"s3:max-keys": "ten"}},
        {"DateLessThan": {"aws:CurrentTime": "tomorrow"}},
        {"IpAddress": {"aws:SourceIp": "10.0.0.0/33"}},
        {"ArnLike": {"aws:PrincipalArn": "bucket"}},
    ],
)
def test_a_session_policy_lets_malformed_literals_stand(condition):
    assert refusal(identity(Condition=condition), "identity") == SYNTAX
    assert policy.parse(identity(Condition=condition), "session").kind == "session"


def test_numbers_and_booleans_may_stand_without_quotes():
    condition = {"NumericEquals": {"s3:max-keys": [10, 1.5, 1e300]}, "Bool": {"aws:SecureTransport": False}}
    [statement] = policy.parse(identity(Condition=condition), "identity").statements
    assert statement.literal_texts[1:3] == ("10", "1.5")
    assert statement.literal_texts[-1] == "false"


@pytest.mark.parametrize(
    "principal",
    [
        {"AWS": "*"},
        {"AWS": ACCOUNT},
        {"AWS": [f"arn:aws:iam::{ACCOUNT}:root", USER, ROLE]},
        {"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/session@1"},
        {"AWS": f"arn:aws:sts::{ACCOUNT}:federated-user/bob"},
        {"Federated": f"arn:aws:iam::{ACCOUNT}:saml-provider/corp"},
        {
            "Federated": [
                "accounts.google.com",
                f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com",
            ]
        },
        {"Service": ["ec2.amazonaws.com", "ops.apigateway.amazonaws.com"], "AWS": ACCOUNT},
    ],
)
def test_a_trust_policy_may_name(principal):
    named = principal.get("AWS", [])
    assert policy.parse(trust(Principal=principal), "trust").principals() == tuple(
        [named] if isinstance(named, str) else named
    )


@pytest.mark.parametrize(
    ("principal", "message"),
    [
        ("*", 'Invalid principal in policy: "STAR":"*"'),
        (
            {"AWS": f"arn:aws:iam::{ACCOUNT}:role/*"},
            f'Invalid principal in policy: "AWS":"arn:aws:iam::{ACCOUNT}:role/*"',
        ),
        ({"AWS": "arn:aws:iam::*:root"}, 'Invalid principal in policy: "AWS":"arn:aws:iam::*:root"'),
        ({"AWS": f"{ACCOUNT}:root"}, f'Invalid principal in policy: "AWS":"{ACCOUNT}:root"'),
        ({"AWS": "1234"}, 'Invalid principal in policy: "AWS":"1234"'),
        (
            {"AWS": [ACCOUNT, f"arn:aws:iam::{ACCOUNT}:group/admins"]},
            f'Invalid principal in policy: "AWS":"arn:aws:iam::{ACCOUNT}:group/admins"',
        ),
        (
            {"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/*"},
            f'Invalid principal in policy: "AWS":"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/*"',
        ),
        ({"Service": "*"}, 'Invalid principal in policy: "SERVICE":"*"'),
        ({"Service": ["ec2.amazonaws.com", "x.example"]}, 'Invalid principal in policy: "SERVICE":"x.example"'),
        ({"Federated": "example.com"}, 'Invalid principal in policy: "FEDERATED":"example.com"'),
        ({"CanonicalUser": "79a5"}, 'Invalid principal in policy: "CANONICALUSER":"79a5"'),
        ({}, SYNTAX),
        ({"AWS": []}, SYNTAX),
        ({"AWS": 111122223333}, SYNTAX),
        (USER, SYNTAX),
    ],
)
def test_a_trust_policy_may_not_name(principal, message):
    assert refusal(trust(Principal=principal), "trust") == message


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"Principal": None}, "Missing required field Principal"),
        ({"Principal": None, "NotPrincipal": {"AWS": USER}}, "Has prohibited field NotPrincipal"),
        ({"Resource": "*"}, "Has prohibited field Resource"),
        ({"NotResource": "*"}, "Has prohibited field NotResource"),
        ({"Action": None, "NotAction": "sts:TagSession"}, "Has prohibited field NotAction"),
        ({"Action": "s3:GetObject"}, "AssumeRole policy may only specify STS AssumeRole actions."),
        (
            {"Action": ["sts:AssumeRole", "sts:TagSessions"]},
            "AssumeRole policy may only specify STS AssumeRole actions.",
        ),
        ({"Action": "sts:Get*"}, "AssumeRole policy may only specify STS AssumeRole actions."),
    ],
)
def test_a_trust_policy_has_elements_of_its_own(elements, message):
    assert refusal(trust(**elements), "trust") == message


@pytest.mark.parametrize("action", ["sts:AssumeRole*", "STS:assumerole", "sts:*", "*", "sts:TagSession", "sts:Set*"])
def test_a_trust_policy_may_speak_of(action):
    assert policy.parse(trust(Action=action), "trust").statements[0].action_texts == (action,)


def test_binding_a_principal_that_does_not_exist_is_refused():
    parsed = policy.parse(trust(Principal={"AWS": [ACCOUNT, USER, ROLE]}), "trust")
    with pytest.raises(PolicyError, match=f'^Invalid principal in policy: "AWS":"{ROLE}"$'):
        policy.bind(parsed, {USER: "AIDAUSER"})


def test_policies_bound_to_different_ids_are_different():
    parsed = policy.parse(trust(), "trust")
    first, second = policy.bind(parsed, {USER: "AIDAFIRST"}), policy.bind(parsed, {USER: "AIDASECOND"})
    assert first != second
    assert first == policy.bind(parsed, {USER: "AIDAFIRST"})
    assert policy.bind(first, {}) == first
    assert first.principals() == (USER,)


def test_administrator_access_is_a_managed_policy_of_aws():
    assert AWS_MANAGED["arn:aws:iam::aws:policy/AdministratorAccess"] == ("AdministratorAccess", ADMINISTRATOR_ACCESS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from(
    [
        "*",
        "Allow",
        "Deny",
        "s3:*",
        "sts:AssumeRole",
        "arn:aws:s3:::b/${aws:username}",
        "${",
        "2012-10-17",
        USER,
        "aws:x",
        "1",
    ]
)
VALUES = WORDS | st.lists(WORDS, max_size=2) | JSON
OPERATOR_NAMES = [
    "StringLike",
    "ForAnyValue:ArnLike",
    "NumericLessThanIfExists",
    "Null",
    "IpAddress",
    "DateEquals",
    "Bool",
]
ELEMENT_NAMES = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
]
BLOCKS = st.dictionaries(st.sampled_from(OPERATOR_NAMES), st.dictionaries(WORDS, VALUES, max_size=2), max_size=2)
PRINCIPALS = st.dictionaries(st.sampled_from(["AWS", "Service", "Federated"]), VALUES, max_size=2)
VALID = [
    {"Effect": "Allow", "Action": ["s3:*", "sts:AssumeRole"], "Resource": "*"},
    {"Effect": "Deny", "Principal": {"AWS": [USER, ACCOUNT]}, "Action": "sts:AssumeRole"},
    {"Effect": "Allow", "NotAction": "s3:*", "NotResource": "arn:aws:s3:::${aws:username}/*", "Sid": "One"},
]
CHANGES = st.dictionaries(st.sampled_from(ELEMENT_NAMES), VALUES | BLOCKS | PRINCIPALS, max_size=2)
STATEMENTS = (
    st.sampled_from(VALID)
    | CHANGES
    | st.builds(lambda valid, changes: valid | changes, st.sampled_from(VALID), CHANGES)
)
DOCUMENTS = st.fixed_dictionaries(
    {"Statement": STATEMENTS | st.lists(STATEMENTS, max_size=2) | JSON},
    optional={"Version": st.sampled_from(["2012-10-17", "2008-10-17"]) | JSON, "Id": st.text(max_size=3) | JSON},
)


@given(DOCUMENTS | JSON, st.sampled_from(["identity", "trust", "session"]))
def test_any_json_is_a_policy_or_refused(document, kind):
    if not isinstance(document, dict):
        document = json.dumps(document)
    try:
        found = policy.parse(document, kind)
    except PolicyError:
        return
    assert policy.parse(found.text, kind) == found


@given(st.text(), st.sampled_from(["identity", "trust", "session"]))
def test_any_text_is_a_policy_or_refused(text, kind):
    with pytest.raises(PolicyError):
        policy.parse(text, kind)
