"""Where session tokens are valid: versions 1 and 2, default and opt-in regions (spec 5.3, 5.4, contract 4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stsd.authn.authenticate import authenticate
from stsd.authn.sigv4 import SigningKeys
from stsd.errors import InvalidClientTokenId, RegionDisabledException, StsError
from stsd.operations.sts import get_session_token
from stsd.operations.v1 import verify
from stsd.view import View
from stsd.wire.messages import Endpoint, Request
from tests.authn import requests
from tests.conftest import seeded
from tests.operations import acting
from tests.world.worlds import ACME, GLOBEX, account, user, world

BOB = f"arn:aws:iam::{ACME}:user/bob"
ERIN = f"arn:aws:iam::{GLOBEX}:user/erin"
WORLD = world(
    account(Users=[user("bob")], EnabledRegions=["af-south-1"]),
    account(GLOBEX, Users=[user("erin")], GlobalEndpointTokenVersion="v2Token"),
)


@pytest.fixture
def view() -> View:
    return acting.view_of(WORLD, seeded(1))


def refusal(request: Request, view: View) -> type[StsError] | None:
    try:
        authenticate(request, view, SigningKeys(), acting.NOW, acting.NOW)
    except StsError as error:
        return type(error)
    return None


@pytest.mark.parametrize(
    ("who", "issued", "region", "used", "refused", "told"),
    [
        (BOB, "global", "eu-west-1", "regional", None, "active"),
        (BOB, "global", "af-south-1", "regional", InvalidClientTokenId, "region_not_enabled"),
        (BOB, "global", "af-south-1", "global", None, "region_not_enabled"),
        (BOB, "regional", "af-south-1", "regional", None, "active"),
        (BOB, "regional", "me-south-1", "regional", RegionDisabledException, "region_not_enabled"),
        (ERIN, "global", "eu-west-1", "regional", None, "active"),
        (ERIN, "global", "af-south-1", "regional", RegionDisabledException, "region_not_enabled"),
    ],
)
def test_where_a_token_is_valid(
    view: View, who: str, issued: Endpoint, region: str, used: Endpoint, refused: type[StsError] | None, told: str
):
    call = acting.call("GetSessionToken")
    asked = replace(acting.request(), endpoint=issued)
    made = get_session_token.run(call, acting.user(view, who), asked, view, acting.NOW).credentials
    view.region = region
    request = requests.signed(
        access_key_id=made.access_key_id, secret_access_key=made.secret_access_key, session_token=made.session_token,
        region="us-east-1" if used == "global" else region,
    )  # fmt: skip
    request.endpoint = used
    assert refusal(request, view) is refused
    assert verify.check(made.session_token, view, acting.NOW)[0] == told
