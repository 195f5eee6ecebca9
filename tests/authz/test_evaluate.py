"""Decisions: the rows of spec 4.9.4 by name, the identity side, and laws that hold for any policies."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsd import policy
from stsd.authz import evaluate
from stsd.authz.evaluate import Decision, Match
from stsd.policy import NamedPolicy
from stsd.policy_variables import Context
from stsd.principal import Principal

A, B = "111122223333", "444455556666"
ROLE = f"arn:aws:iam::{A}:role/app/deploy"
ASSUME = "sts:AssumeRole"
IDS: dict[str, str] = {}


def user(account: str, name: str) -> Principal:
    arn = f"arn:aws:iam::{account}:user/team/{name}"
    IDS[arn] = f"AIDA{account}{name.upper()}"
    return Principal("user", account, arn, IDS[arn], arn, IDS[arn], name)


def role_session(account: str, name: str, session: str = "s1") -> Principal:
    role_arn = f"arn:aws:iam::{account}:role/app/{name}"
    IDS[role_arn] = f"AROA{account}{name.upper()}"
    arn = f"arn:aws:sts::{account}:assumed-role/{name}/{session}"
    return Principal("assumed_role", account, arn, f"{IDS[role_arn]}:{session}", role_arn, IDS[role_arn], name)


DAVE, ERIN, BOB = user(A, "dave"), user(A, "erin"), user(B, "bob")
WORKER, DEPLOY, FOREIGN = role_session(A, "worker"), role_session(A, "deploy"), role_session(B, "partner")
ROOT = Principal("root", A, f"arn:aws:iam::{A}:root", A, f"arn:aws:iam::{A}:root", A, "root")

ALLOW_ASSUME = {"Effect": "Allow", "Action": ASSUME, "Resource": ROLE}
ALLOW_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
DENY_ALL = {"Effect": "Deny", "Action": "*", "Resource": "*"}


def named(kind: policy.Kind, *statements: object, name: str = "") -> NamedPolicy:
    parsed = policy.parse({"Version": "2012-10-17", "Statement": list(statements)}, kind)
    return NamedPolicy(name or kind, policy.bind(parsed, IDS))


def trusting(aws: object, effect: str = "Allow", action: object = ASSUME, **more: object) -> dict[str, object]:
    return {"Effect": effect, "Principal": {"AWS": aws}, "Action": action, **more}


def decide(
    principal: Principal,
    *trust: object,
    identity: Sequence[object] = (),
    session: Sequence[object] | None = None,
    context: Context | None = None,
    action: str = ASSUME,
) -> Decision:
    return evaluate.decide_trust(
        principal,
        action,
        ROLE,
        A,
        named("trust", *trust, name="trust"),
        context or {},
        [named("identity", *identity)] if identity else [],
        None if session is None else [named("session", *session)] if session else [],
    )


def denied(decision: Decision, reason: str) -> bool:
    return not decision.allowed and decision.reason == reason


# Row 1
def test_a_user_may_assume_a_role_that_trusts_its_account_when_its_own_policy_allows():
    for aws in (A, f"arn:aws:iam::{A}:root"):
        decision = decide(DAVE, trusting(aws), identity=[ALLOW_ASSUME])
        assert decision.allowed
        assert decision.matched == (Match("trust", "0", "Allow"), Match("identity", "0", "Allow"))


# Row 2
def test_trust_in_the_account_alone_is_not_enough():
    decision = decide(DAVE, trusting(f"arn:aws:iam::{A}:root"))
    assert denied(decision, "no_identity_allow")
    assert decision.outcome == "implicit_deny"


# Row 3
def test_a_user_named_by_the_trust_needs_no_policy_of_its_own():
    assert decide(DAVE, trusting(DAVE.arn)).allowed


# Row 4
def test_an_explicit_deny_of_the_user_beats_the_trust_that_names_it():
    decision = decide(DAVE, trusting(DAVE.arn), identity=[ALLOW_ALL, {**DENY_ALL, "Sid": "NotMe"}])
    assert denied(decision, "explicit_deny_identity")
    assert decision.outcome == "explicit_deny"
    assert decision.matched == (Match("identity", "NotMe", "Deny"),)


# Row 5
def test_trust_in_another_user_does_not_help():
    assert denied(decide(DAVE, trusting(ERIN.arn), identity=[ALLOW_ALL]), "no_trust_match")


# Row 6
def test_trust_in_everyone_is_a_direct_grant_within_the_account():
    assert decide(DAVE, trusting("*")).allowed


# Row 7
def test_a_session_of_the_named_role_needs_no_policy_but_its_session_policies_limit_it():
    assert decide(WORKER, trusting(WORKER.policy_arn)).allowed
    assert denied(decide(WORKER, trusting(WORKER.policy_arn), session=[]), "no_session_allow")
    assert decide(WORKER, trusting(WORKER.policy_arn), session=[ALLOW_ASSUME]).allowed


# Row 8
def test_a_named_session_needs_nothing_else():
    assert decide(WORKER, trusting(WORKER.arn)).allowed
    assert decide(WORKER, trusting(WORKER.arn), session=[]).allowed
    assert denied(decide(role_session(A, "worker", "s2"), trusting(WORKER.arn)), "no_trust_match")


# Row 9
def test_a_role_assumes_itself_only_if_its_trust_says_so():
    for aws in (A, f"arn:aws:iam::{A}:root", "*", WORKER.policy_arn):
        assert denied(decide(DEPLOY, trusting(aws), identity=[ALLOW_ALL]), "no_trust_match")
    assert decide(DEPLOY, trusting(ROLE)).allowed
    assert decide(DEPLOY, trusting(DEPLOY.arn)).allowed


# Row 10
def test_a_named_user_of_another_account_may_when_its_own_policy_allows():
    assert decide(BOB, trusting(BOB.arn), identity=[ALLOW_ASSUME]).allowed


# Row 11
def test_a_named_user_of_another_account_needs_its_own_policy():
    assert denied(decide(BOB, trusting(BOB.arn)), "no_identity_allow")


# Row 12
def test_a_user_of_a_trusted_account_may_when_its_own_policy_allows():
    assert decide(BOB, trusting(B), identity=[ALLOW_ASSUME]).allowed
    assert denied(decide(BOB, trusting(A), identity=[ALLOW_ASSUME]), "no_trust_match")


# Row 13
def test_trust_in_everyone_is_not_enough_across_accounts():
    assert denied(decide(BOB, trusting("*")), "no_identity_allow")


# Row 14
def test_trust_in_everyone_reaches_across_accounts_with_a_policy_of_the_caller():
    assert decide(BOB, trusting("*"), identity=[ALLOW_ASSUME]).allowed


# Row 15
def test_a_wrong_or_missing_external_id_is_refused():
    trust = trusting(B, Condition={"StringEquals": {"sts:ExternalId": "right"}})
    for context in ({"sts:externalid": "wrong"}, {}):
        assert denied(decide(BOB, trust, identity=[ALLOW_ALL], context=context), "no_trust_match")
    assert decide(BOB, trust, identity=[ALLOW_ALL], context={"sts:externalid": "right"}).allowed


# Row 16
def test_a_deny_of_everyone_without_mfa_beats_the_grant():
    guard = trusting("*", "Deny", Condition={"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}})
    decision = decide(DAVE, trusting(DAVE.arn), guard)
    assert denied(decision, "explicit_deny_trust")
    assert decision.matched == (Match("trust", "1", "Deny"),)
    assert decide(DAVE, trusting(DAVE.arn), guard, context={"aws:multifactorauthpresent": "true"}).allowed


# Row 17
def test_root_cannot_assume_a_role():
    assert denied(decide(ROOT, trusting(f"arn:aws:iam::{A}:root"), identity=[ALLOW_ALL]), "root_cannot_assume")


# Row 21
def test_tags_need_their_own_action_in_the_trust():
    assert denied(decide(DAVE, trusting(A), identity=[ALLOW_ALL], action="sts:TagSession"), "no_trust_match")
    both = trusting(A, action=[ASSUME, "sts:TagSession"])
    assert decide(DAVE, both, identity=[ALLOW_ALL], action="sts:TagSession").allowed


def test_the_trust_must_allow_whatever_the_callers_policy_says():
    assert denied(decide(DAVE, trusting(DAVE.arn, "Deny", "sts:TagSession"), identity=[ALLOW_ALL]), "no_trust_match")


@pytest.mark.parametrize("aws", ["*", A, DAVE.arn])
def test_a_deny_in_the_trust_wins_by_whatever_form_it_names_the_caller(aws):
    assert denied(decide(DAVE, trusting(DAVE.arn), trusting(aws, "Deny")), "explicit_deny_trust")


def test_a_role_that_is_denied_by_account_may_not_assume_itself():
    assert denied(decide(DEPLOY, trusting(ROLE), trusting(A, "Deny")), "explicit_deny_trust")


def test_session_policies_narrow_what_goes_through_the_identity():
    trust = trusting(A)
    assert denied(decide(WORKER, trust, identity=[ALLOW_ALL], session=[]), "no_session_allow")
    assert denied(decide(FOREIGN, trusting(FOREIGN.arn), identity=[ALLOW_ALL], session=[]), "no_session_allow")
    assert denied(decide(WORKER, trust, identity=[ALLOW_ALL], session=[ALLOW_ALL, DENY_ALL]), "explicit_deny_session")
    assert decide(WORKER, trust, identity=[ALLOW_ALL], session=[ALLOW_ASSUME]).allowed


def test_everyone_singled_out_by_arn_is_not_limited_by_session_policies():
    """Spec 4.9.3; without such a condition session policies do limit."""
    context = {"aws:principalarn": WORKER.policy_arn}
    singled_out = trusting("*", Condition={"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{A}:role/app/*"}})
    assert decide(WORKER, singled_out, session=[], context=context).allowed
    others = trusting("*", Condition={"ArnNotLike": {"aws:PrincipalArn": f"arn:aws:iam::{A}:role/x"}})
    if_any = trusting("*", Condition={"ArnLikeIfExists": {"aws:PrincipalArn": f"arn:aws:iam::{A}:role/app/*"}})
    for trust in (trusting("*"), others, if_any):
        assert denied(decide(WORKER, trust, session=[], context=context), "no_session_allow")


def test_the_least_demanding_grant_counts():
    assert decide(DAVE, trusting(A), trusting(DAVE.arn)).allowed
    assert decide(DAVE, trusting(DAVE.arn), trusting(A)).allowed


def test_a_recreated_user_or_role_does_not_match_the_trust_that_named_it():
    again = Principal("user", A, DAVE.arn, "AIDANEW", DAVE.arn, "AIDANEW", "dave")
    assert denied(decide(again, trusting(DAVE.arn), identity=[ALLOW_ALL]), "no_trust_match")
    role = Principal("assumed_role", A, WORKER.arn, "AROANEW:s1", WORKER.policy_arn, "AROANEW", "worker")
    assert denied(decide(role, trusting(WORKER.policy_arn), identity=[ALLOW_ALL]), "no_trust_match")


def test_whoever_comes_with_an_assertion_is_let_in_by_name_only_and_kept_out_with_everyone():
    corp, other = (f"arn:aws:iam::{A}:saml-provider/{name}" for name in ("corp", "other"))
    action = "sts:AssumeRoleWithSAML"
    comer = Principal("federated", A, corp, corp, "", corp, "corp")

    def by(provider: str, effect: str = "Allow") -> dict[str, object]:
        return {"Effect": effect, "Principal": {"Federated": provider}, "Action": action}

    everyone = trusting("*", action="sts:AssumeRole*")
    assert decide(comer, by(corp), action=action).allowed
    for trust in (by(other), everyone, trusting(A, action="sts:AssumeRole*")):
        assert denied(decide(comer, trust, action=action), "no_trust_match")
    for denial in (by(corp, "Deny"), {**everyone, "Effect": "Deny"}):
        assert denied(decide(comer, by(corp), denial, action=action), "explicit_deny_trust")
    assert decide(comer, by(corp), by(other, "Deny"), action=action).allowed


def test_federated_and_service_trust_names_no_signed_caller():
    services = {"Service": "ec2.amazonaws.com", "Federated": "accounts.google.com"}
    trust = {"Effect": "Allow", "Principal": services, "Action": "sts:AssumeRole*"}
    assert denied(decide(DAVE, trust, identity=[ALLOW_ALL]), "no_trust_match")


def test_an_action_is_compared_whatever_its_case():
    assert decide(
        DAVE, trusting(A, action="STS:assumeROLE"), identity=[{**ALLOW_ASSUME, "Action": "Sts:Assume*"}]
    ).allowed


def identity_decision(
    statements: Sequence[object],
    session: Sequence[object] | None = None,
    *,
    action: str = "s3:GetObject",
    resource: str = "arn:aws:s3:::bucket/key",
    context: Context | None = None,
    root: bool = False,
) -> Decision:
    return evaluate.decide_identity(
        action,
        resource,
        context or {},
        [named("identity", statement, name=f"p{at}") for at, statement in enumerate(statements)],
        None if session is None else [named("session", statement) for statement in session],
        root=root,
    )


def allow(action: object = "s3:GetObject", resource: object = "*", **more: object) -> dict[str, object]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def test_nothing_is_allowed_without_a_policy():
    assert identity_decision([]) == Decision("implicit_deny", "no_identity_allow", ())


def test_any_identity_policy_may_allow_and_any_may_deny():
    assert identity_decision([allow("s3:Put*"), allow("s3:Get*")]).matched == (Match("p1", "0", "Allow"),)
    decision = identity_decision([allow("s3:*"), DENY_ALL])
    assert decision == Decision("explicit_deny", "explicit_deny_identity", (Match("p1", "0", "Deny"),))


def test_session_policies_are_a_filter_together():
    assert identity_decision([allow()], [allow("s3:Put*"), allow("s3:Get*")]).allowed
    assert denied(identity_decision([allow()], []), "no_session_allow")
    assert denied(identity_decision([], [allow()]), "no_identity_allow")
    assert denied(identity_decision([allow()], [allow(), DENY_ALL]), "explicit_deny_session")


def test_root_is_limited_by_session_policies_only():
    assert identity_decision([], root=True).allowed
    assert denied(identity_decision([], [], root=True), "no_session_allow")


def test_resources_match_component_by_component():
    assert identity_decision([allow(resource="arn:aws:s3:::bucket/*")]).allowed
    assert not identity_decision([allow(resource="arn:aws:s3:::bucket/*")], resource="*").allowed
    assert identity_decision([allow()], resource="*").allowed
    role = f"arn:aws:iam::{A}:role/x"
    assert identity_decision([allow("*", "arn:aws:iam::*:role/x")], resource=role).allowed
    assert not identity_decision([allow("*", "arn:aws:iam::*:x")], resource=role).allowed


def test_a_resource_with_a_variable_follows_the_request():
    home = [allow(resource="arn:aws:s3:::bucket/${aws:username}/*")]
    for username, allowed in (("dave", True), ("erin", False), ("*", False)):
        decision = identity_decision(home, resource="arn:aws:s3:::bucket/dave/x", context={"aws:username": username})
        assert decision.allowed is allowed
    assert not identity_decision(home, resource="arn:aws:s3:::bucket//x").allowed
    account = [allow(resource="arn:aws:iam::${aws:principalaccount}:role/*")]
    assert identity_decision(account, resource=ROLE, context={"aws:principalaccount": A}).allowed


def test_not_action_and_not_resource_are_complements():
    but = {"Effect": "Allow", "NotAction": ["iam:*", "s3:Put*"], "NotResource": ["arn:aws:s3:::secret/*"]}
    assert identity_decision([but]).allowed
    assert identity_decision([but], action="sts:AssumeRole", resource=ROLE).allowed
    assert not identity_decision([but], action="IAM:GetRole").allowed
    assert not identity_decision([but], resource="arn:aws:s3:::secret/x").allowed
    nothing = {"Effect": "Allow", "Action": "*", "NotResource": "*"}
    assert not identity_decision([nothing]).allowed


def test_administrator_access_allows_everything():
    everything = [NamedPolicy("admin", policy.ADMINISTRATOR_ACCESS)]
    assert evaluate.decide_identity("iam:CreateUser", "*", {}, everything, None).allowed


def test_a_deny_by_token_issue_time_spares_long_term_keys():
    cut_off = {**DENY_ALL, "Condition": {"DateLessThan": {"aws:TokenIssueTime": "2026-11-23T12:00:00.500Z"}}}
    for issued, allowed in ((None, True), ("2026-11-23T12:00:00.499Z", False), ("2026-11-23T12:00:00.500Z", True)):
        context = {} if issued is None else {"aws:tokenissuetime": issued}
        assert identity_decision([allow(), cut_off], context=context).allowed is allowed


ACTIONS = st.sampled_from(["*", "sts:*", "sts:AssumeRole", "sts:Tag*", "s3:*"])
CONDITIONS = st.sampled_from(
    [
        {},
        {"StringEquals": {"sts:ExternalId": "x"}},
        {"StringNotEquals": {"sts:ExternalId": "x"}},
        {"Null": {"sts:ExternalId": "true"}},
        {"ForAllValues:StringLike": {"aws:TagKeys": ["a*"]}},
        {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"}},
    ]
)
EFFECTS = st.sampled_from(["Allow", "Deny"])
STATEMENTS = st.fixed_dictionaries(
    {
        "Effect": EFFECTS,
        "Action": ACTIONS,
        "Resource": st.sampled_from(["*", ROLE, f"arn:aws:iam::{B}:*"]),
        "Condition": CONDITIONS,
    }
)
TRUSTS = st.builds(
    lambda effect, aws, action, condition: trusting(aws, effect, action, Condition=condition),
    EFFECTS,
    st.sampled_from(["*", A, B, DAVE.arn, BOB.arn, WORKER.policy_arn, WORKER.arn, ROLE]),
    st.sampled_from(["*", "sts:AssumeRole*", "sts:TagSession"]),
    CONDITIONS,
)
REQUESTS = st.fixed_dictionaries(
    {
        "principal": st.sampled_from([DAVE, BOB, WORKER, DEPLOY, FOREIGN, ROOT]),
        "identity": st.lists(STATEMENTS, max_size=3),
        "session": st.none() | st.lists(STATEMENTS, max_size=3),
        "context": st.fixed_dictionaries(
            {}, optional={"sts:externalid": st.sampled_from(["x", "y"]), "aws:tagkeys": st.just(("a", "b"))}
        ),
    }
)
SIDES = st.sampled_from(["trust", "identity", "session"])


def decided(request: dict, trust: list[object]) -> Decision:
    context = {**request["context"], "aws:principalarn": request["principal"].policy_arn}
    return decide(
        request["principal"], *trust, identity=request["identity"], session=request["session"], context=context
    )


def with_statement(request: dict, trust: list[object], side: str, effect: str) -> tuple[dict, list[object]]:
    """The same request with one statement more on a side, for everyone and everything."""
    if side == "trust":
        return request, [*trust, trusting("*", effect)]
    more = {"Effect": effect, "Action": "*", "Resource": "*"}
    return {**request, side: [*(request[side] or []), more]}, trust


@given(REQUESTS, st.lists(TRUSTS, min_size=1, max_size=3), SIDES)
def test_a_deny_of_everything_on_any_side_denies_explicitly(request_, trust, side):
    assert decided(*with_statement(request_, trust, side, "Deny")).outcome == "explicit_deny"


@given(REQUESTS, st.lists(TRUSTS, min_size=1, max_size=3), st.data())
def test_one_more_deny_never_allows_what_was_denied(request_, trust, data):
    before = decided(request_, trust)
    more = {**data.draw(TRUSTS), "Effect": "Deny"}
    after_trust = decided(request_, [*trust, more])
    after_identity = decided(
        {**request_, "identity": [*request_["identity"], {**data.draw(STATEMENTS), "Effect": "Deny"}]}, trust
    )
    assert before.allowed or not (after_trust.allowed or after_identity.allowed)
    if before.outcome == "explicit_deny":
        assert after_trust.outcome == after_identity.outcome == "explicit_deny"


@given(REQUESTS, st.lists(TRUSTS, min_size=1, max_size=3), st.data())
def test_one_more_allow_never_takes_an_allow_away(request_, trust, data):
    before = decided(request_, trust)
    more = {**data.draw(STATEMENTS), "Effect": "Allow"}
    after = [
        decided(request_, [*trust, {**data.draw(TRUSTS), "Effect": "Allow"}]),
        decided({**request_, "identity": [*request_["identity"], more]}, trust),
    ]
    if request_["session"] is not None:
        after.append(decided({**request_, "session": [*request_["session"], more]}, trust))
    for decision in after:
        assert decision.allowed or not before.allowed
        assert (decision.outcome == "explicit_deny") == (before.outcome == "explicit_deny")


@given(REQUESTS, st.lists(TRUSTS, min_size=1, max_size=3))
def test_session_policies_only_ever_narrow(request_, trust):
    if decided(request_, trust).allowed:
        assert decided({**request_, "session": None}, trust).allowed


@given(REQUESTS, st.lists(TRUSTS, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_the_order_of_statements_does_not_matter(request_, trust, random):
    shuffled = list(trust)
    random.shuffle(shuffled)
    assert decided(request_, shuffled).outcome == decided(request_, trust).outcome


@given(REQUESTS, st.lists(TRUSTS, min_size=1, max_size=3))
def test_nobody_gets_in_without_a_grant_of_the_trust(request_, trust):
    decision = decided(request_, trust)
    if decision.allowed:
        assert any(match.policy == "trust" and match.effect == "Allow" for match in decision.matched)
        assert all(match.effect == "Allow" for match in decision.matched)
