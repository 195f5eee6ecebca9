"""MinimumSessionTokenSize: who issues a session token makes it as large as it is asked to be, and tells how large."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stsd.errors import ValidationError
from stsd.operations.sts import assume_root, get_session_token
from stsd.wire.parameter_table import PARAMETERS
from tests.conftest import seeded
from tests.operations import acting
from tests.operations.test_session_policies import BOB, VIEW, WORLD, assumed, by_assertion, by_token, federated
from tests.world.worlds import GLOBEX, account

ORGANIZATION = {"ManagementAccount": WORLD["Accounts"][0]["Id"], "CentralizedRootAccess": ["RootSessions"]}
MANAGING = acting.view_of({"Accounts": [*WORLD["Accounts"], account(GLOBEX)], "Organization": ORGANIZATION}, seeded(1))


def as_root(**sent: str) -> Any:
    task = {"TargetPrincipal": GLOBEX, "TaskPolicyArn.arn": "arn:aws:iam::aws:policy/root-task/S3UnlockBucketPolicy"}
    call = acting.call("AssumeRoot", **task, **sent)
    return assume_root.run(call, acting.user(MANAGING, BOB), acting.request(), MANAGING, acting.NOW)


def of_user(**sent: str) -> Any:
    call = acting.call("GetSessionToken", **sent)
    return get_session_token.run(call, acting.user(VIEW, BOB), acting.request(), VIEW, acting.NOW)


ISSUING: dict[str, Callable[..., Any]] = {
    "AssumeRole": assumed,
    "AssumeRoleWithSAML": by_assertion,
    "AssumeRoleWithWebIdentity": by_token,
    "AssumeRoot": as_root,
    "GetFederationToken": federated,
    "GetSessionToken": of_user,
}


def test_the_parameter_is_of_every_operation_that_issues_a_session_token():
    assert set(ISSUING) == {
        action for action, table in PARAMETERS.items() if "MinimumSessionTokenSize" in {each.name for each in table}
    }


@pytest.mark.parametrize("action", ISSUING)
def test_a_token_is_as_large_as_it_is_asked_to_be_and_its_size_is_told(action):
    view = MANAGING if action == "AssumeRoot" else VIEW
    for least in (3_000, 4_096):
        result = ISSUING[action](MinimumSessionTokenSize=str(least))
        token = result.credentials.session_token
        assert len(token) in (least, least + 1)  # one of four lengths is none of base64's
        assert acting.session(view, token).session is not None
        percent = {3_000: 19, 4_096: 26}[least]
        assert result.members()[-2:] == (("SessionTokenUtilization", percent), ("SessionTokenSize", len(token)))


@pytest.mark.parametrize("action", ISSUING)
def test_a_size_that_is_reached_anyway_changes_nothing_and_is_told_to_who_asks_only(action):
    plain, asked = ISSUING[action](), ISSUING[action](MinimumSessionTokenSize="0")
    assert len(plain.credentials.session_token) == len(asked.credentials.session_token)
    assert "SessionTokenSize" in dict(asked.members())
    assert not {"SessionTokenSize", "SessionTokenUtilization"} & dict(plain.members()).keys()


@pytest.mark.parametrize("action", ISSUING)
def test_a_size_beyond_4096_is_refused(action):
    with pytest.raises(ValidationError, match=r"'4097' at 'minimumSessionTokenSize' .* less than or equal to 4096$"):
        ISSUING[action](MinimumSessionTokenSize="4097")
