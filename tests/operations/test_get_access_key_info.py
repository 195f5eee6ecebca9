"""GetAccessKeyInfo without a node around it: who may ask."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stsd.errors import AccessDenied
from stsd.operations.sts import get_access_key_info, get_session_token
from tests.operations import acting
from tests.world.worlds import ACME, account, user, world

ANN = f"arn:aws:iam::{ACME}:user/ann"


@pytest.mark.parametrize("mfa_at", [None, int(acting.NOW)], ids=["without MFA", "with MFA"])
def test_a_user_session_may_not_ask_whatever_its_user_may(entropy, mfa_at):
    view = acting.view_of(world(account(Users=[user("ann", Administrator=True)])), entropy)
    ann = acting.user(view, ANN)
    ask = acting.call("GetAccessKeyInfo", AccessKeyId=ann.access_key_id)
    assert get_access_key_info.run(ask, ann, acting.request(), view, acting.NOW).account == ACME

    issued = get_session_token.run(acting.call("GetSessionToken"), ann, acting.request(), view, acting.NOW)
    caller = acting.session(view, issued.credentials.session_token)
    assert caller.session is not None
    caller = replace(caller, session=replace(caller.session, mfa_at=mfa_at))
    with pytest.raises(AccessDenied, match=r"is not authorized to perform: sts:GetAccessKeyInfo because no identity"):
        get_access_key_info.run(ask, caller, acting.request(), view, acting.NOW)
