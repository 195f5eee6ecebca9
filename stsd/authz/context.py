"""The request context: the condition keys of spec 4.7 that one request has, by lower-cased name.

A key that does not apply is absent, because absence means something to every operator (spec 4.5). One key is ours:
`stsd:RevocationStaleness`, how many seconds old this node's knowledge of revocations is (design 2.3), always there.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache

from stsd.principal import Caller, Kind
from stsd.view import GLOBAL_ENDPOINT_REGION, View
from stsd.wire.messages import Request

Context = dict[str, str | tuple[str, ...]]

PRINCIPAL_TYPES: dict[Kind, str] = {
    "root": "Account",
    "user": "User",
    "assumed_role": "AssumedRole",
    "federated_user": "FederatedUser",
    "federated": "User",
}


def build(request: Request, caller: Caller, view: View, now: float) -> Context:
    """The global keys of a request by `caller` at `now` (Unix seconds); operations add their own."""
    principal = caller.principal
    context: Context = {
        "aws:principalaccount": principal.account,
        "aws:principaltype": PRINCIPAL_TYPES[principal.kind],
        "aws:userid": principal.user_id,
        "aws:sourceip": request.source_ip,
        "aws:currenttime": second(int(now)),
        "aws:epochtime": str(int(now)),
        "aws:requestedregion": GLOBAL_ENDPOINT_REGION if request.endpoint == "global" else view.region,
        "aws:securetransport": "true" if request.secure else "false",
        "aws:principalisawsservice": "false",
        "aws:viaawsservice": "false",
        "stsd:revocationstaleness": _decimal(view.staleness_s),
    }
    if principal.policy_arn:
        context["aws:principalarn"] = principal.policy_arn
    if principal.kind == "user":
        context["aws:username"] = principal.name
    if principal.kind != "federated_user":
        holder = view.holder(principal)
        if holder is not None and holder.tags:
            _add_tags(context, holder.tags.items())
    for key, header in (("aws:useragent", "user-agent"), ("aws:referer", "referer")):
        value = request.headers.get(header)
        if value is not None:
            context[key] = value
    if caller.session is not None:
        _add_session(context, caller, now)
    return context


def _add_session(context: Context, caller: Caller, now: float) -> None:
    """Keys that only temporary credentials have (spec 3.2.9, 4.7)."""
    session = caller.session
    assert session is not None
    context["aws:tokenissuetime"] = instant(session.issued_at_ms / 1000)
    context["aws:multifactorauthpresent"] = "false" if session.mfa_at is None else "true"
    if session.mfa_at is not None:
        context["aws:multifactorauthage"] = str(int(now) - session.mfa_at)
    if session.source_identity:
        context["aws:sourceidentity"] = session.source_identity
    if session.tags:
        _add_tags(context, session.tags)
    if session.provider:
        context["aws:federatedprovider"] = session.provider
        context.update(session.provider_keys)
    if session.task_policy:
        context["aws:assumedroot"] = "true"


def _add_tags(context: Context, tags: Iterable[tuple[str, str]]) -> None:
    """Session tags come after those of the user or the role, and win beyond the case of the key (spec 3.2.6)."""
    for key, value in tags:
        context[f"aws:principaltag/{key.lower()}"] = value


@lru_cache(maxsize=8)
def _decimal(seconds: float) -> str:
    """A number as policies write it, to the millisecond; staleness stays the same for some requests."""
    return f"{seconds:.3f}"


@lru_cache(maxsize=8)
def second(at: int) -> str:
    """A whole second in ISO 8601; made once a second."""
    return instant(at)


def instant(at: float) -> str:
    """An instant as policies write it: ISO 8601 in UTC, with milliseconds when there are any (spec 4.5)."""
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00").removesuffix(".000") + "Z"
