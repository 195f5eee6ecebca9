"""A regional node without sockets, disk or clock: bytes → caller → decision → token → bytes.

`respond` answers everything that needs no storing. A revocation is decided by `decide_revocation`, an MFA code by
`decide_code`; the shell stores what was decided, tells the replica and only then answers. `now` is service time, which
judges tokens and policies; `wall_now` is real time, which judges signatures (contract 8). Both are Unix seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from ipaddress import ip_address
from typing import Any, NamedTuple, overload

from stsd import operations, quota
from stsd.authn.authenticate import authenticate
from stsd.authn.sigv4 import SigningKeys
from stsd.errors import AccessDenied, BareAnswer, InternalFailure, StsError
from stsd.mfa import Verdict
from stsd.oidc.known_keys import KeysWanted
from stsd.operations import Result
from stsd.operations.sts import mfa_code
from stsd.operations.sts.mfa_code import Pending
from stsd.operations.v1 import revocations, revoke, verify
from stsd.operations.v1.revoke import Wanted
from stsd.principal import ANYBODY, Caller
from stsd.quota import Quota
from stsd.tokens import web_identity
from stsd.view import View
from stsd.wire import forwarded, json_api, query, xml
from stsd.wire.messages import Request, Response
from stsd.wire.xml import Members

PREFLIGHT = Response(
    200,
    b"",
    headers=(
        ("Access-Control-Allow-Methods", "GET, POST"),
        (
            "Access-Control-Allow-Headers",
            "authorization, content-type, x-amz-date, x-amz-security-token, x-amz-content-sha256, x-amz-user-agent,"
            " amz-sdk-invocation-id, amz-sdk-request",
        ),
        ("Access-Control-Max-Age", "86400"),
    ),
    operation="preflight",
)
"""Browsers ask before they send a signed call (spec 1.1)."""


class Presented(NamedTuple):
    """An MFA code was judged: `verdict` is to be stored, then `finish` gives the answer; `refuse` if that failed."""

    verdict: Verdict
    finish: Callable[[], Response]
    refuse: Callable[[StsError], Response]


class Decided(NamedTuple):
    """A revocation to be recorded, and what its log event says of who asked for it."""

    wanted: Wanted
    event: dict[str, Any]


@dataclass(slots=True)
class Node:
    """One node's pure state and its answers."""

    view: View
    router_key: bytes = field(repr=False)
    resource_server_keys: tuple[str, ...] = field(default=(), repr=False)
    quota: Quota | None = None
    signing_keys: SigningKeys = field(default_factory=SigningKeys, repr=False)

    def respond(self, request: Request, now: float, wall_now: float) -> Response | None:
        """The answer to any request that changes nothing; None for one with an MFA code, which `decide_code` takes.
        Never raises: an internal failure is a denial."""
        self.view.look(wall_now)
        self._believe_router(request, wall_now)
        if request.path == "/":
            if request.method == "OPTIONS":
                return PREFLIGHT
            answer = self._query(request, now, wall_now, at_once=True)
            return None if isinstance(answer, Presented) else answer
        route = ROUTES.get((request.method, request.path)) or _issuer_route(request, self.view)
        if route is None:
            return json_api.not_served(request, SERVED) or _unknown(request.path)
        return self._json(route, request, now)

    def decide_code(self, request: Request, now: float, wall_now: float) -> Presented | Response:
        """What is to be stored of the MFA code in a request, or its answer if nothing is (spec 3.2.9)."""
        self.view.look(wall_now)
        self._believe_router(request, wall_now)
        return self._query(request, now, wall_now)

    def decide_revocation(self, request: Request, now: float, wall_now: float) -> Decided | Response:
        """What POST /v1/revocations is to record, or the refusal (contract 6)."""
        self.view.look(wall_now)
        self._believe_router(request, wall_now)
        caller: Caller | None = None
        try:
            caller = authenticate(request, self.view, self.signing_keys, now, wall_now)
            return Decided(revoke.run(request, caller, self.view, now, wall_now), _event(caller))
        except StsError as error:
            response = json_api.error(error, request.id, revoke.OPERATION)
            response.event = _event(caller, error.reason)
            return response
        except Exception as error:
            failure = _internal(error)
            response = json_api.error(failure, request.id, revoke.OPERATION)
            response.event = _event(caller, failure.reason)
            return response

    def _believe_router(self, request: Request, wall_now: float) -> None:
        """Take the client's address and endpoint from the router's mark, if it is genuine."""
        value = request.headers.get(forwarded.HEADER)
        if value is None:
            return
        binding = request.headers.get("authorization") or request.query
        told = forwarded.read(self.router_key, value, wall_now, binding)
        if told is not None:
            request.endpoint, request.source_ip, request.secure = told

    @overload
    def _query(self, request: Request, now: float, wall_now: float) -> Presented | Response: ...
    @overload
    def _query(self, request: Request, now: float, wall_now: float, at_once: bool) -> Presented | Response | None: ...
    def _query(
        self, request: Request, now: float, wall_now: float, at_once: bool = False
    ) -> Presented | Response | None:
        """The Query API, in the dispatch order of spec 1.1.2; None `at_once` for what carries an MFA code."""
        action, caller = "unknown", None
        as_json = xml.wants_json(request.headers)
        try:
            call = query.parse(request)
            if at_once and mfa_code.CODE in call.parameters.roots and call.action in mfa_code.ACTIONS:
                return None
            operation = operations.find(call, request.endpoint)
            action = call.action
            if operation.anonymous:
                caller = ANYBODY
            else:
                caller = authenticate(request, self.view, self.signing_keys, now, wall_now)
                if self.quota is not None and action in quota.COUNTED:
                    self.quota.take(caller.principal.account, request.endpoint, wall_now)
            result = operation.run(call, caller, request, self.view, now)
            if isinstance(result, Pending):
                return self._presented(result, request, action, caller, as_json)
            return _granted(result.members(), request, action, caller, as_json)
        except KeysWanted as wanted:
            return Response(503, b"", operation=action, keys_wanted=wanted.provider)
        except BareAnswer as bare:
            return Response(bare.bare_status, bare.body, "text/xml", bare.headers, action, bare.reason)
        except StsError as error:
            return self._refusal(error, request, action, caller, as_json)
        except Exception as error:
            return self._refusal(_internal(error), request, action, caller, as_json)

    def _presented(
        self, pending: Pending[Result], request: Request, action: str, caller: Caller, as_json: bool
    ) -> Presented:
        def refuse(error: StsError) -> Response:
            return self._refusal(error, request, action, caller, as_json)

        def finish() -> Response:
            try:
                return _granted(pending.finish().members(), request, action, caller, as_json)
            except StsError as error:
                return refuse(error)
            except Exception as error:
                return refuse(_internal(error))

        return Presented(pending.verdict, finish, refuse)

    def _refusal(
        self, error: StsError, request: Request, action: str, caller: Caller | None, as_json: bool
    ) -> Response:
        response = xml.error(error, request.id, action, as_json=as_json)
        response.event = _event(caller, error.reason, request.vouched_by)
        return response

    def _json(self, route: Route, request: Request, now: float) -> Response:
        try:
            return route(self, request, now)
        except StsError as error:
            response = json_api.error(error, request.id, OPERATION_NAMES.get(request.path, "unknown"))
            response.event = {"reason": error.reason}
            return response
        except Exception as error:
            failure = _internal(error)
            response = json_api.error(failure, request.id, OPERATION_NAMES.get(request.path, "unknown"))
            response.event = {"reason": failure.reason}
            return response

    def verify(self, request: Request, now: float) -> Response:
        """POST /v1/verify."""
        return verify.run(request, self.view, now)

    def ask_feed(self, request: Request, wall_now: float) -> revocations.Asked | Response:
        """What a reader of GET /v1/revocations wants, in any form, or the refusal. Events and the compact form need a
        node that has caught up once, because they promise to be all there is."""
        self._believe_router(request, wall_now)
        try:
            self.admit_resource_server(request)
            asked = revocations.ask(request)
            revocations.check(asked.cursor)
            if asked.form != "page":
                self.view.check_joined()
        except StsError as error:
            response = json_api.error(error, request.id, revocations.OPERATION)
            response.event = {"reason": error.reason}
            return response
        return asked

    def jwks(self, request: Request, now: float) -> Response:
        """The published token keys (RFC 7517)."""
        return json_api.answer(self.view.keys.jwks(), "jwks", PUBLISHED)

    def openid_configuration(self, request: Request, now: float) -> Response:
        """The issuer's metadata (OpenID Connect Discovery 1.0 section 3)."""
        issuer = self.view.issuer
        content = {
            "issuer": issuer,
            "jwks_uri": f"{issuer}/.well-known/jwks.json",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["EdDSA"],
        }
        return json_api.answer(content, "openid_configuration", PUBLISHED)

    def admit_resource_server(self, request: Request) -> None:
        """Raises AccessDenied for a client that is neither on loopback nor holds a resource-server key."""
        if is_loopback(request.source_ip):
            return
        scheme, _, given = (request.headers.get("authorization") or "").partition(" ")
        offered = given.strip().encode("utf-8", "surrogateescape")
        known = [key for key in self.resource_server_keys if compare_digest(key.encode(), offered)]
        if scheme.lower() != "bearer" or not known:
            raise AccessDenied("A resource-server key is required", reason="resource_server_key")


Route = Callable[[Node, Request, float], Response]


def _issuer_route(request: Request, view: View) -> Route | None:
    """What the issuer of an account's web identity tokens publishes (spec 3.11, contract 4)."""
    named = _ISSUER_PATH.fullmatch(request.path) if request.method == "GET" else None
    issuer = view.directory.issuer(named[1]) if named else None
    if named is None or issuer is None:
        return None
    if named[2] == "jwks.json":
        content, operation = web_identity.jwks(issuer), "jwks"
    else:
        content, operation = web_identity.discovery(view.issuer, issuer), "openid_configuration"
    return lambda *_: json_api.answer(content, operation, PUBLISHED)


_ISSUER_PATH = re.compile(r"/([0-9a-f-]{36})/\.well-known/(openid-configuration|jwks\.json)")
PUBLISHED = (("Cache-Control", "public, max-age=300"),)

ROUTES: Mapping[tuple[str, str], Route] = {
    ("POST", "/v1/verify"): Node.verify,
    ("GET", "/.well-known/jwks.json"): Node.jwks,
    ("GET", "/.well-known/openid-configuration"): Node.openid_configuration,
}
SERVED = (*ROUTES, ("GET", "/v1/revocations"), ("POST", "/v1/revocations"))
"""With what the server answers itself, because it takes time."""
TOKEN_REASONS = frozenset({"malformed", "unknown_key", "bad_signature", "not_yet_valid", "expired", "principal_gone"})
OPERATION_NAMES = {"/v1/verify": "verify"}


def _unknown(path: str) -> Response:
    wrong = query.wrong_path(path)
    return Response(wrong.bare_status, wrong.body, operation="unknown", code=wrong.reason)


def is_loopback(address: str) -> bool:
    """Whether an address is of this machine (127.0.0.0/8, ::1)."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _granted(members: Members, request: Request, action: str, caller: Caller, as_json: bool) -> Response:
    render, content_type = (xml.render_json, "application/json") if as_json else (xml.render, "text/xml")
    return Response(
        200, render(action, members, request.id), content_type, (), action, "", _event(caller, "", request.vouched_by)
    )


def _event(caller: Caller | None, reason: str = "", vouched_by: str = "") -> dict[str, Any]:
    """What a request adds to its log event: never a token, a signature or a secret. Of who has no credential, the
    provider that vouched is the principal."""
    event: dict[str, Any] = {"reason": reason} if reason else {}
    if reason and (reason in TOKEN_REASONS or reason.startswith("revoked_")):
        event["tokens"] = {reason.partition("_")[0] if reason.startswith("revoked_") else reason: 1}
    elif caller is not None and caller.session is not None:
        event["tokens"] = {"active": 1}
    if caller is not None and caller is not ANYBODY:
        event["principal"] = caller.principal.arn
        event["access_key_id"] = caller.access_key_id
    elif vouched_by:
        event["principal"] = vouched_by
    return event


def _internal(error: Exception) -> InternalFailure:
    """The kind and the place of a failure reach the log, its text does not: it could hold what a client sent."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_globals['__name__']}:{trace.tb_lineno}" if trace is not None else "unknown"
    return InternalFailure(reason=f"internal_{type(error).__name__}_at_{place}")
