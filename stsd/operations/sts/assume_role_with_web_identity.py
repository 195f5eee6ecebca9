"""AssumeRoleWithWebIdentity: temporary credentials of a role for holders of ID tokens that its account trusts (3.4).

The checks run in the order of spec 3.4.1. The keys of the token's issuer are fetched by the shell: where they are
missing, or the token names one that is not there, KeysWanted says so once for a request, which is then judged by what
there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stsd import arn
from stsd.authz import authorize, context
from stsd.directory import OpenIDConnectProvider
from stsd.errors import AccessDenied, IDPCommunicationError, IDPRejectedClaim, InvalidIdentityToken
from stsd.oidc import claims as id_claims
from stsd.oidc import token as id_token
from stsd.oidc.jwks import PublicKey, UnknownKey, UnusableKey
from stsd.oidc.known_keys import Failure, KeysWanted
from stsd.oidc.token import NO_KEY, NOT_VALID, IdToken
from stsd.operations.sts import issuing, packing, role_session, session_policies, session_tags
from stsd.operations.sts.role_session import Vouched, Wanted
from stsd.principal import Caller, Principal
from stsd.tokens.credentials import Credentials
from stsd.view import View
from stsd.wire import constraints
from stsd.wire.messages import Request
from stsd.wire.query import Call
from stsd.wire.xml import Members, Value

ACTION = "sts:AssumeRoleWithWebIdentity"
LOGIN_WITH_AMAZON = "www.amazon.com"
ACCESS_TOKENS = (LOGIN_WITH_AMAZON, "graph.facebook.com")
"""Providers of OAuth 2.0 access tokens, which can only be judged by asking them."""
FAILURES: dict[Failure, tuple[type[IDPCommunicationError | InvalidIdentityToken], str]] = {
    "unreachable": (IDPCommunicationError, "The identity provider could not be reached to validate the token."),
    "thumbprint": (
        InvalidIdentityToken,
        "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint",
    ),
    "content": (InvalidIdentityToken, NO_KEY),
}


@dataclass(slots=True)
class Result:
    """The assumed role, its credentials, and what the token said."""

    principal: Principal
    credentials: Credentials
    subject: str
    provider: str
    audience: str
    packed_policy_size: int | None
    source_identity: str

    def members(self) -> Members:
        """In AWS's order (spec 3.4)."""
        found: list[tuple[str, Value]] = [
            ("Credentials", issuing.members(self.credentials)),
            ("SubjectFromWebIdentityToken", self.subject),
            ("AssumedRoleUser", role_session.user(self.principal)),
        ]
        if self.packed_policy_size is not None:
            found.append(("PackedPolicySize", self.packed_policy_size))
        found += [("Provider", self.provider), ("Audience", self.audience)]
        if self.source_identity:
            found.append(("SourceIdentity", self.source_identity))
        return (*found, *issuing.sizes(self.credentials))


def run(call: Call, caller: Caller, request: Request, view: View, now: float) -> Result:
    """Assume a role. Raises the errors of spec 3.4.1, and KeysWanted."""
    arguments = constraints.validate("AssumeRoleWithWebIdentity", call.parameters)
    role_arn = arguments["RoleArn"]
    role = role_session.find(role_arn, view)
    policies = session_policies.read(arguments)
    _check_provider_id(arguments)
    token = id_token.read(arguments["WebIdentityToken"], now)
    provider = _provider(token, arn.parse(role_arn).account, view)
    id_token.check_audience(token, provider)
    id_token.verify(token, _key(token, provider, request, view))
    request.vouched_by = provider.name
    said = id_claims.read(token, provider)
    # From here on the token is true, and decides together with the role.
    caller = _caller(provider)
    tags = session_tags.combine(said.tags, said.transitive)
    if role is None:
        raise authorize.not_authorized(caller, ACTION, role_arn, "no_such_role")
    if said.roles is not None and role.arn not in said.roles:
        raise authorize.not_authorized(caller, ACTION, role_arn, "role_not_authorized_by_idp")
    duration_s = arguments.get("DurationSeconds", role_session.DEFAULT_DURATION_S)
    least = arguments.get(issuing.LEAST_SIZE)
    wanted = Wanted(arguments["RoleSessionName"], policies, tags, duration_s, said.source_identity, least)
    keys = context.build(request, caller, view, now)
    keys |= dict(said.keys)
    keys["sts:roleauthorizedbyidp"] = "false" if said.roles is None else "true"
    role_session.check_allowed(role, ACTION, wanted, caller, keys, view)
    assertion = packing.assertion_percent(provider.url, *_texts(said.persisting))
    vouched = Vouched(provider.name, said.persisting, assertion)
    principal, credentials, packed, source_identity = role_session.issue(
        role, wanted, caller, request, view, now, vouched
    )
    return Result(principal, credentials, said.subject, provider.name, token.audience, packed, source_identity)


def _caller(provider: OpenIDConnectProvider) -> Caller:
    """Who comes with a token of the provider. A trust policy names a built-in one by its host or by its ARN."""
    name = provider.name
    principal = Principal("federated", provider.account, name, name, policy_arn="", unique_id=provider.arn, name="")
    return Caller(principal, "")


def _check_provider_id(arguments: dict[str, Any]) -> None:
    """`ProviderId` is for access tokens of providers that this service cannot ask (spec 3.4)."""
    provider_id = arguments.get("ProviderId")
    if provider_id is None:
        return
    if provider_id not in ACCESS_TOKENS:
        raise AccessDenied(f"Not authorized to perform {ACTION}", reason="unknown_provider_id")
    if provider_id == LOGIN_WITH_AMAZON:
        raise InvalidIdentityToken("Provided Token is not a Login With Amazon token", reason="token_login_with_amazon")
    raise IDPRejectedClaim("The identity provider rejected the token.", reason="idp_rejected_claim")


def _provider(token: IdToken, account: str, view: View) -> OpenIDConnectProvider:
    """The provider of the role's account whose issuer the token names, with or without its scheme."""
    scheme, _, identity = token.issuer.rpartition("://")
    provider = view.directory.oidc_providers.get(arn.oidc_provider(account, f"://{identity}"))
    if provider is None or (scheme and token.issuer != provider.url):
        issuer = token.issuer if scheme else f"https://{token.issuer}"
        raise InvalidIdentityToken(
            f"No OpenIDConnect provider found in your account for {issuer}", reason="token_no_provider"
        )
    own = view.directory.accounts[account].token_issuer
    if own is not None and identity.endswith(f"/{own.id}"):
        # What an account says of its own principals is for others (spec 3.11).
        raise InvalidIdentityToken(NOT_VALID, reason="token_of_own_issuer")
    return provider


def _key(token: IdToken, provider: OpenIDConnectProvider, request: Request, view: View) -> PublicKey:
    """The key that the token names. Raises KeysWanted for a request that has not waited for keys yet."""
    known = view.provider_keys.of(provider)
    if known is None or isinstance(known, str):
        if not request.waited_for_keys:
            raise KeysWanted(provider)
        error, message = FAILURES[known or "unreachable"]
        raise error(message, reason=f"idp_{known or 'not_fetched'}")
    try:
        return known.find(token.kid)
    except UnknownKey:
        if provider.jwks is None and not request.waited_for_keys:
            raise KeysWanted(provider) from None
        raise InvalidIdentityToken(NO_KEY, reason="token_unknown_key") from None
    except UnusableKey:
        raise InvalidIdentityToken(NO_KEY, reason="token_unusable_key") from None


def _texts(keys: id_claims.Keys) -> list[str]:
    """The values that the session keeps."""
    return [text for _, value in keys for text in ((value,) if isinstance(value, str) else value)]
