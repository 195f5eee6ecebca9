"""AssumeRoleWithSAML: temporary credentials of a role, for whoever an identity provider vouches for (spec 3.3).

The caller is anonymous until the assertion has been verified with the keys of the provider's metadata; then it is the
provider that the trust policy has to name. The checks run in the order of spec 3.3.2. What AWS does not enforce is not
enforced here: the audience, NotBefore, one use only, the destination, the expiry of certificates.

The event loop waits for the thread that verifies. Measured on one core: 1 ms for a usual response of 5 kB, a quarter
more with a signature of the response as well, 3 ms for one of 90 kB with 460 roles, 20 ms for the oddest that the gate
of stsd.saml lets in, sent to a provider with ten keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stsd.authz import authorize, context
from stsd.directory import Role, SAMLProvider
from stsd.errors import ExpiredTokenException, InvalidIdentityToken
from stsd.operations.sts import issuing, role_session, session_policies, session_tags
from stsd.operations.sts.role_session import Vouched, Wanted
from stsd.operations.sts.session_policies import SessionPolicies
from stsd.principal import Caller, Principal
from stsd.saml.refused import Refused
from stsd.tokens.credentials import Credentials
from stsd.view import View
from stsd.wire import constraints
from stsd.wire.messages import Request
from stsd.wire.query import Call
from stsd.wire.xml import Members, Value

ACTION = "sts:AssumeRoleWithSAML"
IDENTITY_CENTER = "AWSReservedSSO_"
"""How the names of roles begin that IAM Identity Center manages; nobody else may assume them."""


@dataclass(slots=True)
class Result:
    """The assumed role and its credentials, and what the assertion said of the subject."""

    principal: Principal
    credentials: Credentials
    packed_policy_size: int | None
    subject: str
    subject_type: str
    issuer: str
    audience: str
    name_qualifier: str
    source_identity: str

    def members(self) -> Members:
        """In AWS's order (spec 3.3)."""
        found: list[tuple[str, Value]] = [
            ("Credentials", issuing.members(self.credentials)),
            ("AssumedRoleUser", role_session.user(self.principal)),
        ]
        if self.packed_policy_size is not None:
            found.append(("PackedPolicySize", self.packed_policy_size))
        found += [
            ("Subject", self.subject),
            ("SubjectType", self.subject_type),
            ("Issuer", self.issuer),
            ("Audience", self.audience),
            ("NameQualifier", self.name_qualifier),
        ]
        if self.source_identity:
            found.append(("SourceIdentity", self.source_identity))
        return (*found, *issuing.sizes(self.credentials))


def run(call: Call, _: Caller, request: Request, view: View, now: float) -> Result:
    """Exchange an assertion for a role session. Raises the errors of spec 3.3.2."""
    arguments = constraints.validate("AssumeRoleWithSAML", call.parameters)
    role = role_session.find(arguments["RoleArn"], view)
    policies = session_policies.read(arguments)
    try:
        return _exchange(arguments, role, policies, request, view, now)
    except Refused as refused:
        raise InvalidIdentityToken(refused.message(request.id), reason=refused.reason) from None


def _exchange(
    arguments: dict[str, Any],
    role: Role | None,
    policies: SessionPolicies,
    request: Request,
    view: View,
    now: float,
) -> Result:
    # Here and not above, because lxml and signxml would be a good part of a node's start.
    from stsd.saml import attributes, metadata, response

    # 1. to 5. A response of the right form, its signatures, the provider and its issuer; 6. it is not over.
    provider = view.directory.saml_providers.get(arguments["PrincipalArn"])
    known = None if provider is None else metadata.read(provider.metadata)
    assertion = response.verified(arguments["SAMLAssertion"], known)
    assert provider is not None, "a response of no provider is refused"
    request.vouched_by = provider.arn
    longest_s = attributes.longest_s(assertion, now)
    if assertion.expires_at <= now or longest_s <= 0:
        raise ExpiredTokenException("Response has expired", reason="saml_expired")
    # 7. to 10. What the attributes ask for.
    attributes.check_pair(assertion, arguments["RoleArn"], provider.arn)
    wanted = Wanted(
        session_name=attributes.session_name(assertion),
        source_identity=attributes.source_identity(assertion),
        tags=session_tags.asserted(*attributes.session_tags(assertion)),
        policies=policies,
        duration_s=arguments.get("DurationSeconds", role_session.DEFAULT_DURATION_S),
        least_token_bytes=arguments.get(issuing.LEAST_SIZE),
    )
    # 11. and 12. The role's trust policy names the provider; a missing role reads like a refusal.
    caller = _caller(provider)
    if role is None:
        raise authorize.not_authorized(caller, ACTION, arguments["RoleArn"], "no_such_role")
    if role.name.startswith(IDENTITY_CENTER):
        raise authorize.not_authorized(caller, ACTION, role.arn, "identity_center_role")
    qualifier = attributes.name_qualifier(assertion, provider.account, provider.name)
    persisting = attributes.persisting_keys(assertion, qualifier)
    keys = context.build(request, caller, view, now)
    keys.update(attributes.condition_keys(assertion, provider.account, provider.name))
    keys.update(persisting)
    role_session.check_allowed(role, ACTION, wanted, caller, keys, view)
    # 13. The role's own limits; those of the assertion shorten without an error.
    vouched = Vouched(provider.arn, persisting, longest_s=longest_s)
    issued = role_session.issue(role, wanted, caller, request, view, now, vouched)
    return Result(
        issued.principal,
        issued.credentials,
        issued.packed_policy_size,
        subject=assertion.subject,
        subject_type=attributes.subject_type(assertion),
        issuer=assertion.issuer,
        audience=assertion.recipient,
        name_qualifier=qualifier,
        source_identity=issued.source_identity,
    )


def _caller(provider: SAMLProvider) -> Caller:
    """Who asks, for the trust policy: the provider, in its account (spec 4.7)."""
    arn = provider.arn
    return Caller(
        Principal("federated", provider.account, arn, arn, policy_arn="", unique_id=arn, name=provider.name), ""
    )
