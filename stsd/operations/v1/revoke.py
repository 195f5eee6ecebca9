"""POST /v1/revocations: what no longer holds. Decides what to record; the shell stores it, then answers (contract 6).

One table says which member names which kind, whose account owns it and on which ARN `stsd:Revoke` is asked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stsd import arn
from stsd.authz import authorize, context
from stsd.errors import AccessDenied, ValidationError
from stsd.operations.sts.get_access_key_info import account_of
from stsd.principal import Caller
from stsd.revocation.revocation_set import Kind, Revocation
from stsd.tokens import session_token
from stsd.tokens.session_token import TokenError
from stsd.view import View
from stsd.wire import json_api
from stsd.wire.messages import Request

OPERATION = "Revoke"
ACTION = "stsd:Revoke"
LONGEST_SESSION_S = 36 * 3600
"""No session lives longer (spec 3.0.2), so no revocation of sessions has to be kept longer."""
MAX_REASON_CHARACTERS = 256
MAX_ARN_CHARACTERS = 2_048
LATER = ("kid",)
DEFAULT_WAIT_S, MIN_WAIT_S, MAX_WAIT_S = 2.0, 0.1, 30.0
"""How long `wait: all` waits for the other regions (design 2.3)."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be revoked: `resource` is the ARN that permission is asked on, `own` the caller's own session."""

    kind: Kind
    value: str
    account: str
    resource: str
    applies_until: int | None
    own: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to record, and which answer is wanted: `tell` who holds it, after at most `wait_s` seconds for all regions
    (None: no longer than for any answer). `clock_behind_s`: how far the clock had been set back (see instants)."""

    revocation: Revocation
    tell: bool = False
    wait_s: float | None = None
    clock_behind_s: float = 0.0


def run(request: Request, caller: Caller, view: View, now: float, wall_now: float) -> Wanted:
    """The revocation to record. Raises ValidationError, MalformedInput, InvalidParameterValue or AccessDenied."""
    content = json_api.parse(request.body, (*SUBJECTS, *OPTIONS), LATER)
    subject = _subject(content, caller, view, now)
    given_ms = _issued_before_ms(content, subject.kind, now)
    reason = content.get("reason", "")
    if not isinstance(reason, str) or len(reason) > MAX_REASON_CHARACTERS:
        raise ValidationError(f"reason must be text of at most {MAX_REASON_CHARACTERS} characters", reason="reason")
    wait_s = _wait_s(content)
    _authorize(subject, request, caller, view, now)
    if given_ms is not None:
        revocation = Revocation(subject.kind, subject.value, given_ms, subject.applies_until, reason)
        return Wanted(revocation, "wait" in content, wait_s)
    behind_s = view.replica.latest_of_region() - wall_now
    clock_behind_s = view.instants.behind_ms(now, behind_s) / 1000
    cutoff_ms = view.instants.cut_off(now, behind_s)
    until = max(subject.applies_until or 0, (cutoff_ms - 1) // 1000 + LONGEST_SESSION_S)
    through = 1 if subject.kind == "session" else 0  # it refuses what was issued until its cut-off, itself included
    revocation = Revocation(subject.kind, subject.value, cutoff_ms - through, until, reason)
    return Wanted(revocation, "wait" in content, wait_s, clock_behind_s)


def _wait_s(content: dict[str, Any]) -> float | None:
    """How long to wait for all regions; None for those who do not."""
    if content.get("wait", "none") not in ("none", "all"):
        raise ValidationError("wait must be none or all", reason="wait")
    if content.get("wait") != "all":
        if "timeout_s" in content:
            raise ValidationError("timeout_s goes with wait: all only", reason="timeout_s")
        return None
    value: object = content.get("timeout_s", DEFAULT_WAIT_S)
    if not isinstance(value, int | float) or isinstance(value, bool) or not MIN_WAIT_S <= value <= MAX_WAIT_S:
        raise ValidationError(f"timeout_s must be {MIN_WAIT_S:g} to {MAX_WAIT_S:g} seconds", reason="timeout_s")
    return float(value)


def _authorize(subject: Subject, request: Request, caller: Caller, view: View, now: float) -> None:
    """A session may always revoke itself; everything else needs `stsd:Revoke` in the owning account."""
    if subject.own:
        return
    if caller.principal.account != subject.account:
        raise AccessDenied(
            f"User: {caller.principal.arn} is not authorized to perform: {ACTION} on resource: {subject.resource}",
            reason="foreign_account",
        )
    authorize.by_identity(caller, ACTION, subject.resource, context.build(request, caller, view, now), view)


def _subject(content: dict[str, Any], caller: Caller, view: View, now: float) -> Subject:
    named = [name for name in SUBJECTS if name in content]
    if named == ["source_identity", "account_id"]:
        named = ["source_identity"]
    if len(named) != 1:
        raise ValidationError(f"Exactly one subject is required: {', '.join(SUBJECTS)}", reason="subject_count")
    value = content[named[0]]
    longest = session_token.MAX_TOKEN_CHARACTERS if named == ["token"] else MAX_ARN_CHARACTERS
    if not isinstance(value, str) or not 1 <= len(value) <= longest:
        raise ValidationError(f"{named[0]} must be text of 1 to {longest} characters", reason="subject_type")
    return SUBJECTS[named[0]](value, content, caller, view, now)


def _access_key_id(value: str, content: dict[str, Any], caller: Caller, view: View, now: float) -> Subject:
    account = account_of(value, view) if re.fullmatch(r"[A-Z2-7]{16,128}", value) else None
    if account is None:
        raise ValidationError(f"access_key_id: {value[:128]} is not an access key id of any account", reason="subject")
    temporary = value.startswith("ASIA")
    return Subject(
        "access_key",
        value,
        account,
        f"arn:aws:stsd::{account}:access-key/{value}",
        int(now) + LONGEST_SESSION_S if temporary else None,
        own=caller.session is not None and caller.access_key_id == value,
    )


def _token(value: str, content: dict[str, Any], caller: Caller, view: View, now: float) -> Subject:
    try:
        session = view.tokens.open(value).session
        session_token.check_time(session, now)
    except TokenError as error:
        raise ValidationError(f"token: this session token is not valid: {error.reason}", reason="subject") from None
    principal = session.principal
    own = caller.session is not None and caller.access_key_id == session.access_key_id
    return Subject("access_key", session.access_key_id, principal.account, principal.arn, session.expires_at, own=own)


def _session_arn(value: str, content: dict[str, Any], caller: Caller, view: View, now: float) -> Subject:
    account = _owner(value, "session_arn", _SESSION_ARN)
    own = caller.session is not None and caller.principal.arn == value
    return Subject("session", value, account, value, int(now) + LONGEST_SESSION_S, own=own)


def _source_identity(value: str, content: dict[str, Any], caller: Caller, view: View, now: float) -> Subject:
    account = content.get("account_id", caller.principal.account)
    if not isinstance(account, str) or not re.fullmatch(r"[0-9]{12}", account):
        raise ValidationError("account_id: 12 digits are expected", reason="subject")
    if not re.fullmatch(r"[\w+=,.@-]{2,256}", value, re.ASCII):
        raise ValidationError("source_identity: 2 to 256 characters of [\\w+=,.@-] are expected", reason="subject")
    resource = f"arn:aws:stsd::{account}:source-identity/{value}"
    return Subject("source_identity", f"{account}/{value}", account, resource, int(now) + LONGEST_SESSION_S)


def _role_arn(value: str, content: dict[str, Any], caller: Caller, view: View, now: float) -> Subject:
    account = _owner(value, "role_arn", _ROLE_ARN)
    return Subject("role", value, account, value, int(now) + LONGEST_SESSION_S)


def _principal_arn(value: str, content: dict[str, Any], caller: Caller, view: View, now: float) -> Subject:
    if ":role/" in value:
        return _role_arn(value, content, caller, view, now)
    account = _owner(value, "principal_arn", _PRINCIPAL_ARN)
    return Subject("principal", value, account, value, int(now) + LONGEST_SESSION_S)


def _account_id(value: str, content: dict[str, Any], caller: Caller, view: View, now: float) -> Subject:
    if not re.fullmatch(r"[0-9]{12}", value):
        raise ValidationError("account_id: 12 digits are expected", reason="subject")
    return Subject("account", value, value, arn.root(value), int(now) + LONGEST_SESSION_S)


# A path may hold any visible character, a name no wildcard (spec 7.3): `role/*` would revoke nothing.
_NAMED = r"/(?:[!-~]+/)?[\w+=,.@-]+"
_SESSION_ARN = re.compile(r"arn:aws:sts::\d{12}:assumed-role/[\w+=,.@-]+/[\w+=,.@-]+", re.ASCII)
_ROLE_ARN = re.compile(rf"arn:aws:iam::\d{{12}}:role{_NAMED}", re.ASCII)
_PRINCIPAL_ARN = re.compile(
    rf"arn:aws:iam::\d{{12}}:(?:root|user{_NAMED})|arn:aws:sts::\d{{12}}:federated-user/[\w+=,.@-]+", re.ASCII
)


def _owner(value: str, member: str, pattern: re.Pattern[str]) -> str:
    """The account of an ARN of the right kind. Raises ValidationError."""
    if pattern.fullmatch(value) is None:
        raise ValidationError(f"{member}: {value[:256]} is not an ARN of that kind", reason="subject")
    return arn.parse(value).account


def _issued_before_ms(content: dict[str, Any], kind: Kind, now: float) -> int | None:
    """The cut-off in Unix milliseconds, 0 where there is none; None for everything that was issued until now."""
    if "issued_before" not in content:
        return 0 if kind == "access_key" else None
    if kind in ("access_key", "session"):
        raise ValidationError("issued_before goes with cut-offs only", reason="issued_before")
    value: object = content["issued_before"]
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= now + _AHEAD_S:
        raise ValidationError("issued_before must be Unix seconds, not in the future", reason="issued_before")
    return math.ceil(round(value * 1000, 3))


_AHEAD_S = session_token.CLOCK_SKEW_S

SUBJECTS: dict[str, Callable[[str, dict[str, Any], Caller, View, float], Subject]] = {
    "access_key_id": _access_key_id,
    "token": _token,
    "session_arn": _session_arn,
    "source_identity": _source_identity,
    "role_arn": _role_arn,
    "principal_arn": _principal_arn,
    "account_id": _account_id,
}
OPTIONS = ("issued_before", "reason", "wait", "timeout_s")
