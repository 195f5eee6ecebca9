"""Every text and number parameter of every operation with any value: refused when, and only when, it breaks a
constraint, each of them told once, and never with a value that is sensitive (spec 1.6, 3.0.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsd.errors import ValidationError
from stsd.wire import constraints
from stsd.wire.constraint_kinds import Integer, Text
from stsd.wire.parameter_table import PARAMETERS
from stsd.wire.query import Parameters

ARN = "arn:aws:iam::111122223333:role/demo"
VALID = {
    "AssumeRole": {"RoleArn": ARN, "RoleSessionName": "alice"},
    "AssumeRoleWithSAML": {"RoleArn": ARN, "PrincipalArn": ARN, "SAMLAssertion": "abcd"},
    "AssumeRoleWithWebIdentity": {"RoleArn": ARN, "RoleSessionName": "alice", "WebIdentityToken": "abcd"},
    "AssumeRoot": {"TargetPrincipal": "111122223333", "TaskPolicyArn.arn": ARN},
    "DecodeAuthorizationMessage": {"EncodedMessage": "m"},
    "GetAccessKeyInfo": {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE"},
    "GetDelegatedAccessToken": {"TradeInToken": "t"},
    "GetFederationToken": {"Name": "ann"},
    "GetSessionToken": {},
    "GetWebIdentityToken": {"Audience.member.1": "a", "SigningAlgorithm": "RS256"},
}
TEXTS = [(action, each) for action, table in PARAMETERS.items() for each in table if isinstance(each, Text)]
NUMBERS = [(action, each) for action, table in PARAMETERS.items() for each in table if isinstance(each, Integer)]
CHARACTERS = st.characters(exclude_categories=("Cs",))


def refusal(action: str, name: str, value: str) -> str | None:
    """What is said of one parameter beside valid ones, None when it is accepted."""
    try:
        values = constraints.validate(action, Parameters({**VALID[action], name: value}))
    except ValidationError as error:
        return error.message or ""
    assert str(values[name]) == value
    return None


def lengths(each: Text) -> st.SearchStrategy[int]:
    """Lengths at and about the ends of what is allowed."""
    most = each.longest or 4_096
    near = {length for end in (each.shortest, most) for length in (end - 1, end, end + 1)}
    return st.sampled_from(sorted(length for length in near if length >= 0))


@pytest.mark.parametrize(("action", "each"), TEXTS, ids=[f"{action} {each.name}" for action, each in TEXTS])
@given(data=st.data())
def test_a_text_is_refused_when_it_breaks_a_constraint_and_only_then(action, each, data):
    length = data.draw(lengths(each))
    filling = data.draw(st.sampled_from("a1é日 /:=\0😀"))
    drawn = data.draw(st.text(CHARACTERS, max_size=min(length, 8)))
    value = drawn + filling * (length - len(drawn))
    too_short, too_long = length < each.shortest, each.longest is not None and length > each.longest
    foreign = each.pattern.regex.fullmatch(value) is None
    said = refusal(action, each.name, value)
    count = too_short + too_long + foreign
    assert (said is None) == (count == 0)
    if said is not None:
        assert said.startswith(f"{count} validation error{'' if count == 1 else 's'} detected: ")
        printed = "Value at" if each.sensitive else f"Value '{value}' at"
        assert said.count(f"{printed} '{each.path}' failed to satisfy constraint: Member must ") == count


@pytest.mark.parametrize(("action", "each"), NUMBERS, ids=[f"{action} {each.name}" for action, each in NUMBERS])
@given(data=st.data())
def test_a_number_is_refused_outside_its_range_and_only_there(action, each, data):
    near = [end + by for end in (each.least, each.greatest) for by in (-1, 0, 1)]
    number = data.draw(st.sampled_from(near) | st.integers(-(2**31), 2**31 - 1))
    said = refusal(action, each.name, str(number))
    assert (said is None) == (each.least <= number <= each.greatest)
    if said is not None:
        bound = f"less than or equal to {each.greatest}"
        if number < each.least:
            bound = f"greater than or equal to {each.least}"
        place = f"Value '{number}' at '{each.path}' failed to satisfy constraint: "
        assert said.endswith(f"{place}Member must have value {bound}")


def test_a_structure_that_lacks_a_field_is_printed_in_the_words_of_the_protocol():
    sent = {f"Tags.member.{number}.Key": str(number) for number in range(1, 52)}
    said = refusal_of_list(sent)
    assert said.startswith("1 validation error detected: Value '[Tag(key=1, value=null), Tag(key=2, value=null), ")


def refusal_of_list(sent: dict[str, str]) -> str:
    with pytest.raises(ValidationError) as refused:
        constraints.validate("AssumeRole", Parameters({**VALID["AssumeRole"], **sent}))
    assert refused.value.message is not None
    return refused.value.message
