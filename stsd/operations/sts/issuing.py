"""Credentials for a granted session, as this node issues them: its keys, its region, its staleness, the endpoint."""

from __future__ import annotations

from stsd.errors import RegionDisabledException
from stsd.principal import Caller
from stsd.tokens.credentials import Credentials, Grant
from stsd.tokens.session_token import MAX_TOKEN_CHARACTERS
from stsd.view import View
from stsd.wire.messages import Request
from stsd.wire.xml import Members, Timestamp

LEAST_SIZE = "MinimumSessionTokenSize"
"""How many bytes the session token is to have at least, a parameter of every operation that issues one."""


def issue(grant: Grant, caller: Caller, request: Request, view: View, now: float) -> Credentials:
    """Credentials for `grant`: shorter than asked for where a revocation might be missed (contract 10), and of version
    1 from the global endpoint unless the account that owns the role or user chose otherwise (spec 5.3). Raises
    RegionDisabledException where that account has not opted in to this region (spec 5.4)."""
    owner = grant.principal.account
    if request.endpoint == "global":
        account = view.directory.accounts.get(owner)
        grant.token_version = 1 if account is None else account.global_token_version
    elif not view.is_open_to(owner):
        raise RegionDisabledException(owner)
    grant.duration_s = view.session_s(grant.duration_s)
    return view.issue(grant, caller, now)


def members(issued: Credentials) -> Members:
    """`Credentials` as every issuing operation prints it (spec 1.2)."""
    return (
        ("AccessKeyId", issued.access_key_id),
        ("SecretAccessKey", issued.secret_access_key),
        ("SessionToken", issued.session_token),
        ("Expiration", Timestamp(issued.expiration)),
    )


def sizes(issued: Credentials) -> Members:
    """How large the session token is, for who asked for a least size; the answers of spec 3 do not have it."""
    if not issued.tells_size:
        return ()
    size = len(issued.session_token)
    return (("SessionTokenUtilization", -(-100 * size // MAX_TOKEN_CHARACTERS)), ("SessionTokenSize", size))
