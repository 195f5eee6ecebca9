"""Constraints of parameters, in the words of specification 1.6, and integers as of 1.1.1."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsd.errors import MalformedInput, ValidationError
from stsd.wire import constraint_kinds, constraints, parameter_table
from stsd.wire.query import Parameters

ROLE_ARN = "arn:aws:iam::111122223333:role/demo"
VALID = {"RoleArn": ROLE_ARN, "RoleSessionName": "alice"}
ARN_CLASS = r"[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+"


def validate(action: str = "AssumeRole", /, **parameters: str) -> dict[str, object]:
    return constraints.validate(action, Parameters(parameters))


def assume(changes: dict[str, str]) -> dict[str, object]:
    return constraints.validate("AssumeRole", Parameters({**VALID, **changes}))


def refused(changes: dict[str, str]) -> str:
    with pytest.raises(ValidationError) as caught:
        assume(changes)
    assert caught.value.message is not None
    return caught.value.message


def one(clause: str) -> str:
    return f"1 validation error detected: {clause}"


def test_values_come_typed_and_absent_ones_stay_absent():
    given = {"DurationSeconds": "3600", "ExternalId": "ab", "PolicyArns.member.1.arn": "arn:aws:iam::aws:policy/A"}
    assert assume({**given, "Unknown": "x"}) == {
        **VALID,
        "DurationSeconds": 3600,
        "ExternalId": "ab",
        "PolicyArns": ({"arn": "arn:aws:iam::aws:policy/A"},),
    }
    assert assume({}) == VALID
    assert validate("GetCallerIdentity", RoleArn="") == {}


def test_required_parameters_are_asked_for_all_at_once():
    with pytest.raises(ValidationError) as caught:
        validate("AssumeRole")
    assert caught.value.message == (
        "2 validation errors detected: Value null at 'roleArn' failed to satisfy constraint: Member must not be null;"
        " Value null at 'roleSessionName' failed to satisfy constraint: Member must not be null"
    )
    with pytest.raises(ValidationError, match="Value null at 'accessKeyId' failed"):
        validate("GetAccessKeyInfo")


@pytest.mark.parametrize(
    ("parameter", "value", "path", "constraint"),
    [
        ("RoleSessionName", "x", "roleSessionName", "Member must have length greater than or equal to 2"),
        ("RoleSessionName", "x" * 65, "roleSessionName", "Member must have length less than or equal to 64"),
        (
            "RoleSessionName",
            "a b",
            "roleSessionName",
            r"Member must satisfy regular expression pattern: [\w+=,.@-]*",
        ),
        ("RoleArn", "arn:aws:iam::1:role", "roleArn", "Member must have length greater than or equal to 20"),
        ("RoleArn", "x" * 2049, "roleArn", "Member must have length less than or equal to 2048"),
        ("RoleArn", ROLE_ARN + "\0", "roleArn", f"Member must satisfy regular expression pattern: {ARN_CLASS}"),
        ("RoleArn", ROLE_ARN + "😀", "roleArn", f"Member must satisfy regular expression pattern: {ARN_CLASS}"),
        ("ExternalId", "x", "externalId", "Member must have length greater than or equal to 2"),
        ("ExternalId", "x" * 1225, "externalId", "Member must have length less than or equal to 1224"),
        (
            "ExternalId",
            "a b",
            "externalId",
            r"Member must satisfy regular expression pattern: [\w+=,.@:\/-]*",
        ),
        (
            "Policy",
            "{}€",
            "policy",
            r"Member must satisfy regular expression pattern: [\u0009\u000A\u000D\u0020-\u00FF]+",
        ),
        ("DurationSeconds", "899", "durationSeconds", "Member must have value greater than or equal to 900"),
        ("DurationSeconds", "43201", "durationSeconds", "Member must have value less than or equal to 43200"),
        ("DurationSeconds", "-1", "durationSeconds", "Member must have value greater than or equal to 900"),
    ],
)
def test_a_broken_constraint_is_told_with_value_path_and_rule(parameter, value, path, constraint):
    assert refused({parameter: value}) == one(f"Value '{value}' at '{path}' failed to satisfy constraint: {constraint}")


def test_an_empty_text_breaks_length_and_pattern():
    message = refused({"Policy": ""})
    assert message.startswith("2 validation errors detected: ")
    assert "Value '' at 'policy' failed to satisfy constraint: Member must have length greater" in message
    assert "Member must satisfy regular expression pattern: " in message


def test_length_counts_code_points_and_words_are_ascii():
    assert assume({"RoleArn": ROLE_ARN + "é" * (2048 - len(ROLE_ARN))})["RoleArn"]
    assert "pattern" in refused({"RoleSessionName": "älice"})
    assert "pattern" in refused({"RoleSessionName": "alice\n"})


@pytest.mark.parametrize("action", ["AssumeRole", "GetSessionToken"])
def test_durations_end_where_the_model_says(action):
    most = {"AssumeRole": 43_200, "GetSessionToken": 129_600}[action]
    parameters = VALID if action == "AssumeRole" else {}
    for seconds in (900, most):
        assert validate(action, **parameters, DurationSeconds=str(seconds))["DurationSeconds"] == seconds
    with pytest.raises(ValidationError, match=f"less than or equal to {most}"):
        validate(action, **parameters, DurationSeconds=str(most + 1))


@pytest.mark.parametrize(("text", "number"), [("+900", 900), ("0900", 900), ("+0", 0), ("-0", 0), ("-007", -7)])
def test_signs_and_zeros_of_an_integer_are_read(text, number):
    assert constraint_kinds.integer(text) == number


@pytest.mark.parametrize("number", [-(2**31), 2**31 - 1])
def test_integers_have_32_bits(number):
    assert constraint_kinds.integer(str(number)) == number
    beyond = number + (1 if number > 0 else -1)
    with pytest.raises(MalformedInput):
        constraint_kinds.integer(str(beyond))


@pytest.mark.parametrize(
    "text", [" 900", "900 ", "9.0", "1e3", "abc", "+", "-", "++1", "1_000", "٣", "²", "9" * 5000, "\0"]
)
def test_what_is_no_integer_is_malformed_without_a_message(text):
    with pytest.raises(MalformedInput) as caught:
        assume({"DurationSeconds": text})
    assert caught.value.message is None


def test_an_empty_integer_has_a_message_of_its_own():
    with pytest.raises(MalformedInput, match=r"^missing value for decimal type$"):
        assume({"DurationSeconds": ""})


def test_malformed_input_is_found_before_any_constraint():
    with pytest.raises(MalformedInput):
        constraints.validate("AssumeRole", Parameters({"DurationSeconds": "x"}))


@given(st.text(max_size=12))
def test_an_integer_is_a_number_or_malformed(text):
    with suppress(MalformedInput):
        assert -(2**31) <= constraint_kinds.integer(text) < 2**31


# -- lists ------------------------------------------------------------------------------------------------------------


def test_an_element_is_named_by_its_place_in_the_list():
    message = refused({"PolicyArns.member.1.arn": ROLE_ARN, "PolicyArns.member.2.arn": "short"})
    assert message == one(
        "Value 'short' at 'policyArns.2.member.arn' failed to satisfy constraint:"
        " Member must have length greater than or equal to 20"
    )


@pytest.mark.parametrize("field", ["Arn", "ARN", "PolicyArn", "arn.x"])
def test_an_entry_without_its_arn_is_refused_and_not_dropped(field):
    message = refused({f"PolicyArns.member.1.{field}": ROLE_ARN})
    assert message == one(
        "Value null at 'policyArns.1.member.arn' failed to satisfy constraint: Member must not be null"
    )


def test_a_gap_is_a_null_member():
    assert refused({"PolicyArns.member.2.arn": ROLE_ARN}) == one(
        "Value null at 'policyArns.1.member' failed to satisfy constraint: Member must not be null"
    )


def test_ten_policy_arns_pass_and_the_eleventh_does_not():
    ten = {f"PolicyArns.member.{number}.arn": ROLE_ARN for number in range(1, 11)}
    assert len(assume(ten)["PolicyArns"]) == 10  # type: ignore[arg-type]
    message = refused({**ten, "PolicyArns.member.11.arn": ROLE_ARN})
    assert message.startswith(f"1 validation error detected: Value '[PolicyDescriptorType(arn={ROLE_ARN}), ")
    assert message.endswith(
        "' at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to 10"
    )


def test_an_explicitly_empty_list_is_a_list():
    assert assume({"PolicyArns": ""})["PolicyArns"] == ()


# -- parameters of later stages ---------------------------------------------------------------------------------------


def test_tags_and_their_keys_are_read_as_lists():
    sent = {"Tags.member.1.Key": "Dept", "Tags.member.1.Value": "", "TransitiveTagKeys.member.1": "dept"}
    assert assume(sent) == {**VALID, "Tags": ({"Key": "Dept", "Value": ""},), "TransitiveTagKeys": ("dept",)}
    assert assume({"Tags": "", "TransitiveTagKeys": ""}) == {**VALID, "Tags": (), "TransitiveTagKeys": ()}


def test_a_tag_has_a_key_and_a_value_of_the_class_of_characters():
    path = "tags.1.member"
    assert refused({"Tags.member.1.Key": "a"}) == one(
        f"Value null at '{path}.value' failed to satisfy constraint: Member must not be null"
    )
    assert refused({"Tags.member.1.Key": "a;b", "Tags.member.1.Value": "x"}) == one(
        f"Value 'a;b' at '{path}.key' failed to satisfy constraint:"
        r" Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]+"
    )
    assert assume({"Tags.member.1.Key": "Straße Nº", "Tags.member.1.Value": "日本 ٣"})["Tags"]


def test_more_than_fifty_tags_are_printed_with_their_number():
    tags = {
        f"Tags.member.{n}.{field}": value for n in range(1, 52) for field, value in (("Key", str(n)), ("Value", "v"))
    }
    said = refused(tags)
    assert said.startswith("1 validation error detected: Value '[Tag(key=1, value=v), Tag(key=2, value=v), ")
    assert said.endswith("' at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50")


def test_a_list_that_is_sent_empty_has_too_few_elements_where_one_is_asked_for():
    assert assume({"Tags": "", "PolicyArns": "", "TransitiveTagKeys": ""})["Tags"] == ()
    assert refused({"ProvidedContexts": ""}) == one(
        "Value '[]' at 'providedContexts' failed to satisfy constraint: Member must have length greater than or equal"
        " to 1"
    )


def test_what_is_sensitive_is_not_printed():
    sent = {"RoleArn": ROLE_ARN, "RoleSessionName": "alice", "WebIdentityToken": "abc"}
    with pytest.raises(ValidationError) as caught:
        validate("AssumeRoleWithWebIdentity", **sent)
    assert caught.value.message == one(
        "Value at 'webIdentityToken' failed to satisfy constraint: Member must have length greater than or equal to 4"
    )
    contexts = {
        f"ProvidedContexts.member.{n}.{field}": "s3cret-assertion" + "x" * 20
        for n in range(1, 7)
        for field in ("ProviderArn", "ContextAssertion")
    }
    assert "contextAssertion=***" in refused(contexts)


@pytest.mark.parametrize("audiences", [{"Audience.member.1": ""}, {"Audience.member.2": "a"}])
def test_a_list_of_texts_says_once_what_each_must_be(audiences):
    with pytest.raises(ValidationError) as caught:
        validate("GetWebIdentityToken", SigningAlgorithm="RS256", **audiences)
    printed = "[]" if "Audience.member.1" in audiences else "[null, a]"
    assert caught.value.message == one(
        f"Value '{printed}' at 'audience' failed to satisfy constraint: Member must satisfy constraint: "
        "[Member must have length less than or equal to 1000, Member must have length greater than or equal to 1]"
    )


def test_a_structure_without_its_field_is_missing():
    with pytest.raises(ValidationError, match=r"Value null at 'taskPolicyArn' failed .* Member must not be null"):
        validate("AssumeRoot", TargetPrincipal="111122223333", TaskPolicyArn="x")
    with pytest.raises(ValidationError, match=r"at 'taskPolicyArn\.arn' failed .* greater than or equal to 20"):
        validate("AssumeRoot", TargetPrincipal="111122223333", **{"TaskPolicyArn.arn": "short"})


def test_parameters_of_other_actions_are_ignored():
    assert validate("GetSessionToken", Tags="x", RoleArn="y") == {}


@given(st.sampled_from(sorted(parameter_table.PARAMETERS)), st.dictionaries(st.sampled_from(
    ["RoleArn", "RoleSessionName", "DurationSeconds", "Policy", "PolicyArns", "PolicyArns.member.1.arn",
     "PolicyArns.member.3", "PolicyArns.x", "ExternalId", "AccessKeyId", "Tags"]), st.text()))  # fmt: skip
def test_any_text_is_valid_or_refused_in_the_words_of_the_protocol(action, sent):
    with suppress(MalformedInput, ValidationError):
        constraints.validate(action, Parameters(sent))


def test_every_constraint_is_named_in_messages_by_its_lower_camel_name():
    for table in parameter_table.PARAMETERS.values():
        assert all(each.path == each.name[0].lower() + each.name[1:] for each in table)
        assert all(quote(each.name) == each.name for each in table)
