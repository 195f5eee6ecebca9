"""Session tags and source identity through chains of roles (spec 3.2.6, 3.2.7)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsd.authz import context
from stsd.errors import AccessDenied, InvalidParameterValue, PackedPolicyTooLarge, ValidationError
from stsd.operations.sts import assume_role, session_tags
from stsd.principal import Caller, Principal, Session
from stsd.view import View
from tests.operations import acting
from tests.world.worlds import ACME, Entropy, account, allow, user, world

ACTING = Principal("assumed_role", ACME, "", "", "", "", "")
BOB = f"arn:aws:iam::{ACME}:user/bob"
SET = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]


def role(name: str, principal: str, actions: Any = SET, condition: Any = None, **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": actions, "Condition": condition or {}}
    return {"RoleName": name, "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": statement}, **more}


def arn(name: str) -> str:
    return f"arn:aws:iam::{ACME}:role/{name}"


CHAIN = [role("first", BOB), role("second", arn("first")), role("third", arn("second"))]


def view_of(*roles: dict[str, Any]) -> View:
    return acting.view_of(world(account(Users=[user(Tags={"Dept": "hr"})], Roles=list(roles))), Entropy())


def assume(view: View, caller: Caller, name: str, **parameters: str) -> assume_role.Result:
    call = acting.call("AssumeRole", RoleArn=arn(name), RoleSessionName="s1", **parameters)
    return assume_role.run(call, caller, acting.request(), view, acting.NOW)


def tags(*pairs: tuple[str, str], transitive: tuple[str, ...] = ()) -> dict[str, str]:
    sent = {}
    for number, (key, value) in enumerate(pairs, 1):
        sent |= {f"Tags__member__{number}__Key": key, f"Tags__member__{number}__Value": value}
    return sent | {f"TransitiveTagKeys__member__{number}": key for number, key in enumerate(transitive, 1)}


def keys_of(view: View, result: assume_role.Result) -> tuple[Caller, context.Context]:
    caller = acting.session(view, result.credentials.session_token)
    return caller, context.build(acting.request(), caller, view, acting.NOW)


def test_tags_reach_the_session_and_only_transitive_ones_pass_on():
    view = view_of(*CHAIN)
    passed = tags(("Project", "Anvil"), ("Team", ""), transitive=("project",))
    first, keys = keys_of(view, assume(view, acting.user(view, BOB), "first", **passed))
    assert (keys["aws:principaltag/project"], keys["aws:principaltag/team"]) == ("Anvil", "")
    second, keys = keys_of(view, assume(view, first, "second"))
    assert keys["aws:principaltag/project"] == "Anvil"
    assert "aws:principaltag/team" not in keys
    _, keys = keys_of(view, assume(view, second, "third"))
    assert keys["aws:principaltag/project"] == "Anvil"


def test_a_session_tag_wins_over_the_tag_of_the_role_beyond_case():
    view = view_of(role("first", BOB, Tags={"Dept": "hr", "Cost": "1"}))
    _, keys = keys_of(view, assume(view, acting.user(view, BOB), "first", **tags(("dept", "eng"))))
    assert keys["aws:principaltag/dept"] == "eng"
    assert keys["aws:principaltag/cost"] == "1"


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        (tags(("a", "1"), ("A", "2")), "Duplicate tag keys found. Please note that Tag keys are case insensitive."),
        (tags(("aws:x", "1")), "Tag keys may not begin with aws:"),
        (tags(("a", "1"), transitive=("b",)), "The specified transitive tag key must be included in the requested"),
        (tags(transitive=("b",)), "The specified transitive tag key must be included in the requested tags."),
    ],
)
def test_tags_outside_the_rules_are_refused(parameters, said):
    view = view_of(*CHAIN)
    with pytest.raises(InvalidParameterValue, match=said):
        assume(view, acting.user(view, BOB), "first", **parameters)


def test_a_transitive_tag_cannot_be_set_again_in_any_case():
    view = view_of(*CHAIN)
    first, _ = keys_of(view, assume(view, acting.user(view, BOB), "first", **tags(("k", "1"), transitive=("k",))))
    with pytest.raises(InvalidParameterValue, match=r"conflicts with a transitive tag key from the calling session"):
        assume(view, first, "second", **tags(("K", "2")))


def test_tags_need_the_trust_to_allow_tag_session_even_when_they_are_inherited():
    plain = role("second", arn("first"), "sts:AssumeRole")
    view = view_of(CHAIN[0], plain)
    first, _ = keys_of(view, assume(view, acting.user(view, BOB), "first", **tags(("k", "1"), transitive=("k",))))
    with pytest.raises(AccessDenied, match=r"not authorized to perform: sts:TagSession on resource"):
        assume(view, first, "second")
    untagged, _ = keys_of(view, assume(view, acting.user(view, BOB), "first", **tags(("k", "1"))))
    assume(view, untagged, "second")


def test_conditions_see_what_the_request_passes_and_whose_role_it_is():
    condition = {
        "StringEquals": {"aws:RequestTag/Dept": "eng", "aws:ResourceTag/Tier": "gold", "aws:PrincipalTag/dept": "hr"},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["Dept"], "sts:TransitiveTagKeys": ["Dept"]},
    }
    view = view_of(role("first", BOB, condition=condition, Tags={"Tier": "gold"}))
    caller = acting.user(view, BOB)
    assume(view, caller, "first", **tags(("Dept", "eng"), transitive=("Dept",)))
    for wrong in ({}, tags(("Dept", "hr")), tags(("Dept", "eng"), ("Other", "1"))):
        with pytest.raises(AccessDenied):
            assume(view, caller, "first", **wrong)


def test_conditions_see_which_of_the_tags_are_transitive():
    view = view_of(role("first", BOB, condition={"ForAnyValue:StringEquals": {"sts:TransitiveTagKeys": ["Dept"]}}))
    caller, both = acting.user(view, BOB), (("Dept", "eng"), ("Other", "1"))
    assume(view, caller, "first", **tags(*both, transitive=("dept",)))
    for transitive in ((), ("Other",)):
        with pytest.raises(AccessDenied):
            assume(view, caller, "first", **tags(*both, transitive=transitive))


def test_inherited_tags_are_the_principals_and_not_the_requests():
    condition = {
        "StringEquals": {"aws:PrincipalTag/k": "1"},
        "Null": {"aws:RequestTag/k": "true", "aws:TagKeys": "true", "sts:TransitiveTagKeys": "true"},
    }
    view = view_of(CHAIN[0], role("second", arn("first"), condition=condition))
    first, _ = keys_of(view, assume(view, acting.user(view, BOB), "first", **tags(("k", "1"), transitive=("k",))))
    assume(view, first, "second")
    with pytest.raises(AccessDenied):
        assume(view, first, "second", **tags(("other", "2"), transitive=("other",)))


def test_a_source_identity_is_set_once_and_sticks():
    view = view_of(*CHAIN)
    result = assume(view, acting.user(view, BOB), "first", SourceIdentity="bob@acme")
    assert ("SourceIdentity", "bob@acme") in result.members()
    first, keys = keys_of(view, result)
    assert keys["aws:sourceidentity"] == "bob@acme"
    second, keys = keys_of(view, assume(view, first, "second"))
    assert keys["aws:sourceidentity"] == "bob@acme"
    assume(view, second, "third", SourceIdentity="bob@acme")
    with pytest.raises(ValidationError, match=r"The source identity is already set for this assume role session"):
        assume(view, second, "third", SourceIdentity="eve")


def test_a_source_identity_needs_the_trust_to_allow_it_even_when_it_is_inherited():
    view = view_of(CHAIN[0], role("second", arn("first"), "sts:AssumeRole"))
    first, _ = keys_of(view, assume(view, acting.user(view, BOB), "first", SourceIdentity="bob"))
    with pytest.raises(AccessDenied, match=r"not authorized to perform: sts:SetSourceIdentity on resource"):
        assume(view, first, "second")


def test_packed_size_is_told_for_tags_and_bounded():
    view = view_of(*CHAIN)
    caller = acting.user(view, BOB)
    assert assume(view, caller, "first").packed_policy_size is None
    assert assume(view, caller, "first", **tags(("Dept", "eng"))).packed_policy_size == 2
    with pytest.raises(PackedPolicyTooLarge, match=r"Packed size of session tags consumes \d{3}% of allotted space\."):
        assume(view, caller, "first", **tags(*((f"tag{n}", "v" * 250) for n in range(9))))


def test_inherited_tags_take_room_and_are_told_with_what_is_passed_only():
    view = view_of(*CHAIN)
    passed = tags(("k", "v" * 256), transitive=("k",))
    first, _ = keys_of(view, assume(view, acting.user(view, BOB), "first", **passed))
    assert assume(view, first, "second").packed_policy_size is None
    assert assume(view, first, "second", **tags(("other", "v" * 194))).packed_policy_size == 100
    with pytest.raises(PackedPolicyTooLarge, match=r"^Packed size of session tags consumes 101% of allotted space\.$"):
        assume(view, first, "second", **tags(("other", "v" * 195)))
    policy = {"Policy": json.dumps(allow("s3:*", "arn:aws:s3:::" + "b" * 300))}
    with pytest.raises(PackedPolicyTooLarge, match=r"^Packed policy consumes 129% of allotted space, please use"):
        assume(view, first, "second", **policy)


def test_provided_contexts_are_refused_as_no_provider_of_them_is_known():
    view = view_of(*CHAIN)
    context_ = {
        "ProvidedContexts__member__1__ProviderArn": "arn:aws:iam::aws:contextProvider/IdentityCenter",
        "ProvidedContexts__member__1__ContextAssertion": "assertion",
    }
    with pytest.raises(AccessDenied, match=r"not authorized to perform: sts:SetContext on resource"):
        assume(view, acting.user(view, BOB), "first", **context_)


TAGGED = st.lists(st.tuples(st.sampled_from("aAbBcCdDß"), st.sampled_from(["", "1", "2"])), max_size=4)


@given(st.lists(st.tuples(TAGGED, st.lists(st.sampled_from("aAbBcCdD"), max_size=2)), min_size=1, max_size=6))
def test_through_any_chain_a_session_has_what_was_passed_and_what_is_transitive(hops):
    session, sticky = None, {}
    for passed, transitive in hops:
        lower = [key.lower() for key, _ in passed]
        wanted = {key.lower() for key in transitive}
        good = len(set(lower)) == len(lower) and wanted <= set(lower) and sticky.keys().isdisjoint(lower)
        try:
            found = session_tags.combine(tuple(passed), tuple(transitive), session)
        except InvalidParameterValue:
            assert not good
            continue
        assert good
        assert sorted(found.effective) == sorted([*sticky.values(), *passed])
        assert found.needed == bool(passed or sticky)
        sticky |= {key.lower(): (key, value) for key, value in passed if key.lower() in wanted}
        assert sorted(found.passing_on) == sorted(key for key, _ in sticky.values())
        session = Session("ASIA", ACTING, "", "", "", "", 0, 0, tags=found.effective, transitive=found.passing_on)
