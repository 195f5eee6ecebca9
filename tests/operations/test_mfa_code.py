"""MFA in AssumeRole and GetSessionToken: the texts, and what the session says afterwards (spec 3.2.9)."""

from __future__ import annotations

from typing import Any

import pytest

from stsd import mfa
from stsd.authz import context
from stsd.errors import AccessDenied
from stsd.mfa import MAX_VERIFICATIONS, STEP_S
from stsd.operations.sts import assume_role, get_session_token, mfa_code
from stsd.operations.sts.mfa_code import Pending
from stsd.principal import Caller
from stsd.view import View
from tests.operations import acting
from tests.world.worlds import ACME, Entropy, account, key, role, user, world

BOB = f"arn:aws:iam::{ACME}:user/bob"
ROOT = f"arn:aws:iam::{ACME}:root"
SERIAL = f"arn:aws:iam::{ACME}:mfa/bob"
ROOT_SERIAL = f"arn:aws:iam::{ACME}:mfa/root-account-mfa-device"
GUARDED = {"Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}


def trusting(name: str, principal: str, **more: Any) -> dict[str, Any]:
    made = role(name, principal)
    made["AssumeRolePolicyDocument"]["Statement"][0].update(more)
    return made


@pytest.fixture
def view():
    devices = [{"SerialNumber": SERIAL}]
    roles = [
        trusting("guarded", BOB, **GUARDED),
        trusting("open", BOB),
        trusting("next", f"arn:aws:iam::{ACME}:role/open"),
        trusting("fresh", BOB, Condition={"NumericLessThan": {"aws:MultiFactorAuthAge": "300"}}),
        trusting("at-once", BOB, Condition={"NumericEquals": {"aws:MultiFactorAuthAge": "0"}}),
    ]
    people = [user("bob", MFADevices=devices), user("eve", MFADevices=[{"SerialNumber": SERIAL + "2"}])]
    made = account(Users=people, Roles=roles, RootAccessKeys=[key()], RootMFADevices=[{"SerialNumber": ROOT_SERIAL}])
    return acting.view_of(world(made), Entropy())


def code(view: View, now: float = acting.NOW, arn: str = BOB) -> str:
    holder = view.directory.users.get(arn) or view.directory.root_users[ACME]
    return mfa.code_of(holder.mfa_devices[0].seed, int(now) // STEP_S)


def finished(view: View, result: Any, now: float) -> Any:
    """As the shell does: what became of the code is stored first."""
    if not isinstance(result, Pending):
        return result
    if isinstance(result.verdict, mfa.UsedStep):
        view.mfa.add(result.verdict, now, here=True)
    return result.finish()


def assume(view: View, caller: Caller, name: str = "guarded", now: float = acting.NOW, **more: str) -> Caller:
    call = acting.call("AssumeRole", RoleArn=f"arn:aws:iam::{ACME}:role/{name}", RoleSessionName="s1", **more)
    result = finished(view, assume_role.run(call, caller, acting.request(), view, now), now)
    return acting.session(view, result.credentials.session_token)


def session_token(view: View, caller: Caller, now: float = acting.NOW, **more: str) -> Caller:
    call = acting.call("GetSessionToken", **more)
    result = finished(view, get_session_token.run(call, caller, acting.request(), view, now), now)
    return acting.session(view, result.credentials.session_token)


def keys(view: View, caller: Caller, now: float = acting.NOW) -> context.Context:
    return context.build(acting.request(), caller, view, now)


def with_code(view: View, now: float = acting.NOW) -> dict[str, str]:
    return {"SerialNumber": SERIAL, "TokenCode": code(view, now)}


def test_a_code_opens_the_role_and_does_not_pass_on(view):
    bob = acting.user(view, BOB)
    with pytest.raises(AccessDenied, match=r"is not authorized to perform: sts:AssumeRole on resource"):
        assume(view, bob)
    session = assume(view, bob, **with_code(view))
    assert keys(view, session)["aws:multifactorauthpresent"] == "false"
    assert "aws:multifactorauthage" not in keys(view, session)


def test_a_session_with_a_code_passes_it_on_with_its_age(view):
    session = session_token(view, acting.user(view, BOB), **with_code(view))
    later = acting.NOW + 200
    assert keys(view, session, later)["aws:multifactorauthage"] == "200"
    assumed = assume(view, session, now=later)
    assert keys(view, assumed, later)["aws:multifactorauthpresent"] == "true"
    assert keys(view, assumed, later + 50)["aws:multifactorauthage"] == "250"
    chained = assume(view, assume(view, session, "open", later), "next", later)
    assert keys(view, chained, later)["aws:multifactorauthpresent"] == "true"
    assume(view, session, "fresh", later)
    with pytest.raises(AccessDenied):
        assume(view, session, "fresh", acting.NOW + 300)


def test_a_session_without_a_code_says_so(view):
    session = session_token(view, acting.user(view, BOB))
    assert keys(view, session)["aws:multifactorauthpresent"] == "false"
    with pytest.raises(AccessDenied):
        assume(view, session)
    assert "aws:multifactorauthpresent" not in keys(view, acting.user(view, BOB))


def test_the_code_is_fresh_in_the_trust_policy(view):
    assume(view, acting.user(view, BOB), "at-once", **with_code(view))
    session = session_token(view, acting.user(view, BOB), **with_code(view, acting.NOW - STEP_S))
    later = acting.NOW + STEP_S
    with pytest.raises(AccessDenied):
        assume(view, session, "at-once", later)
    assume(view, session, "at-once", later, **with_code(view, later))


def test_root_has_a_device_too(view):
    sent = {"SerialNumber": ROOT_SERIAL, "TokenCode": code(view, arn=ROOT)}
    session = session_token(view, acting.user(view, ROOT), **sent)
    assert keys(view, session)["aws:multifactorauthpresent"] == "true"


@pytest.mark.parametrize("wrong", ["used", "other", "old"])
def test_a_wrong_a_used_and_an_old_code_read_alike(view, wrong):
    bob, later = acting.user(view, BOB), acting.NOW
    sent = with_code(view)
    if wrong == "used":
        session_token(view, bob, **sent)
    elif wrong == "other":
        sent["TokenCode"] = f"{(int(sent['TokenCode']) + 1) % 10**6:06}"
    else:
        later += 3 * STEP_S
    with pytest.raises(AccessDenied) as caught:
        session_token(view, bob, later, **sent)
    assert caught.value.message == "MultiFactorAuthentication failed with invalid MFA one time pass code. "
    assert caught.value.reason == ("mfa_code_used" if wrong == "used" else "mfa_wrong_code")


def test_a_device_of_somebody_else_and_one_verified_too_often_read_alike(view):
    bob = acting.user(view, BOB)
    foreign = {"SerialNumber": SERIAL + "2", "TokenCode": code(view)}
    for _ in range(MAX_VERIFICATIONS):
        with pytest.raises(AccessDenied):
            session_token(view, bob, SerialNumber=SERIAL, TokenCode="000000")
    for sent in (foreign, with_code(view), {"SerialNumber": "nobodys-device", "TokenCode": "123456"}):
        with pytest.raises(AccessDenied) as caught:
            session_token(view, bob, **sent)
        assert caught.value.message == (
            "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is"
            " valid and associated with this user."
        )


@pytest.mark.parametrize("sent", [{"SerialNumber": SERIAL}, {"TokenCode": "123456"}])
def test_one_without_the_other_is_incomplete(view, sent):
    for ask in (session_token, assume):
        with pytest.raises(AccessDenied, match=mfa_code.INCOMPLETE):
            ask(view, acting.user(view, BOB), **sent)


def test_a_role_session_has_no_device(view):
    session = assume(view, acting.user(view, BOB), "open")
    with pytest.raises(AccessDenied) as caught:
        assume(view, session, "next", **with_code(view))
    assert caught.value.message == mfa_code.UNABLE


def test_a_code_needs_the_serial_number_of_its_own_device(view):
    bob = acting.user(view, BOB)
    for serial in (SERIAL + "2", SERIAL.upper(), "nobodys-device"):
        with pytest.raises(AccessDenied) as caught:
            session_token(view, bob, SerialNumber=serial, TokenCode=code(view))
        assert caught.value.message == mfa_code.UNABLE
    session_token(view, bob, **with_code(view))


def test_a_code_is_used_whichever_credentials_of_the_user_it_came_with(view):
    bob = acting.user(view, BOB)
    others = Caller(bob.principal, "AKIAANOTHERKEYOFBOBS"), session_token(view, bob)
    session_token(view, bob, **with_code(view))
    for other in others:
        with pytest.raises(AccessDenied) as caught:
            assume(view, other, **with_code(view))
        assert caught.value.reason == "mfa_code_used"


def test_the_code_is_looked_at_before_the_role_and_is_used_whatever_comes_after(view):
    bob, sent = acting.user(view, BOB), with_code(view)
    with pytest.raises(AccessDenied, match=r"sts:AssumeRole on resource: .*role/none"):
        assume(view, bob, "none", **sent)
    with pytest.raises(AccessDenied, match=mfa_code.WRONG):
        assume(view, bob, "none", **sent)
