"""Every way a request can be refused, each with its wire code and HTTP status.

    StsError                                     (spec 1.3: ErrorResponse; Sender below 500, Receiver above)
    ├── InvalidAction, MalformedInput, ValidationError, InvalidParameterValue          400
    ├── MalformedPolicyDocument, PackedPolicyTooLarge                                  400
    ├── InvalidIdentityToken, ExpiredTokenException, IDPCommunicationError             400
    ├── InvalidAuthorizationMessageException, JWTPayloadSizeExceededException          400
    ├── Throttling                                                                     400
    ├── IDPRejectedClaim, OutboundWebIdentityFederationDisabledException               403
    ├── RegionDisabledException, SessionDurationEscalationException                    403
    ├── MissingAuthenticationToken, InvalidClientTokenId, ExpiredToken                 403
    ├── IncompleteSignature                                                            400
    ├── SignatureDoesNotMatch, AccessDenied                                            403
    ├── InternalFailure                                                                500
    ├── ServiceUnavailable, RevocationStateStale                                       503
    └── BareAnswer: an HTTP answer outside the XML protocol (spec 1.1: 302, 400, 404, 413)

An error holds what the caller may know (`message`) and, apart from it, why for the log (`reason`, a short
snake_case word). A message never contains a secret, a token or a signature.
"""

from __future__ import annotations

from typing import ClassVar

STS_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
FAULT_NAMESPACE = "http://webservices.amazon.com/AWSFault/2005-15-09"


class StsError(Exception):
    """A refusal in the words of the protocol. `message` None omits the Message element (spec 1.3)."""

    code: ClassVar[str] = "InternalFailure"
    status: ClassVar[int] = 500
    namespace: ClassVar[str] = STS_NAMESPACE

    def __init__(self, message: str | None = None, *, reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason

    @property
    def fault(self) -> str:
        """`Sender` for the caller's fault, `Receiver` for ours (spec 1.3)."""
        return "Sender" if self.status < 500 else "Receiver"


class InvalidAction(StsError):
    """Unknown action or version (spec 1.4); the only error in the AWSFault namespace (spec 1.3)."""

    code, status, namespace = "InvalidAction", 400, FAULT_NAMESPACE


class MalformedInput(StsError):
    """Input that cannot be deserialised (spec 1.1.1); mostly without a message."""

    code, status = "MalformedInput", 400


class ValidationError(StsError):
    """A constraint or a semantic rule does not hold (spec 1.6)."""

    code, status = "ValidationError", 400


class InvalidParameterValue(StsError):
    """Tag rules (spec 3.2.6)."""

    code, status = "InvalidParameterValue", 400


class MalformedPolicyDocument(StsError):
    """A session policy that is not understood (spec 3.2.5)."""

    code, status = "MalformedPolicyDocument", 400


class PackedPolicyTooLarge(StsError):
    """Session policies over the packed budget (spec 3.2.8)."""

    code, status = "PackedPolicyTooLarge", 400


class InvalidIdentityToken(StsError):
    """A third party's assertion that is not accepted (spec 3.3.2, 3.4.1)."""

    code, status = "InvalidIdentityToken", 400


class ExpiredTokenException(StsError):
    """The assertion that was supplied is over, not the caller's credentials (spec 1.5)."""

    code, status = "ExpiredTokenException", 400


class IDPCommunicationError(StsError):
    """An identity provider cannot be reached; SDKs try again (spec 1.5)."""

    code, status = "IDPCommunicationError", 400


class IDPRejectedClaim(StsError):
    """An identity provider says that the claim is not valid (spec 1.5)."""

    code, status = "IDPRejectedClaim", 403


class InvalidAuthorizationMessageException(StsError):
    """An encoded message that does not open (spec 3.9)."""

    code, status = "InvalidAuthorizationMessageException", 400


class JWTPayloadSizeExceededException(StsError):
    """More claims than a web identity token carries (spec 3.11)."""

    code, status = "JWTPayloadSizeExceededException", 400


class OutboundWebIdentityFederationDisabledException(StsError):
    """The account has not enabled outbound federation (spec 3.11)."""

    code, status = "OutboundWebIdentityFederationDisabledException", 403


class SessionDurationEscalationException(StsError):
    """A web identity token would outlive the session that asks for it (spec 3.11)."""

    code, status = "SessionDurationEscalationException", 403


class RegionDisabledException(StsError):
    """The account has not enabled this region (spec 5.4)."""

    code, status = "RegionDisabledException", 403

    def __init__(self, account: str) -> None:
        super().__init__(
            f"STS is not activated in this region for account:{account}. Your account administrator can activate STS"
            " in this region using the IAM Console.",
            reason="region_disabled",
        )


class Throttling(StsError):
    """An account over its quota (spec 5.5); SDKs back off."""

    code, status = "Throttling", 400


class MissingAuthenticationToken(StsError):
    """Nothing is signed (spec 1.4)."""

    code, status = "MissingAuthenticationToken", 403

    def __init__(self) -> None:
        super().__init__("Request is missing Authentication Token", reason="not_signed")


class IncompleteSignature(StsError):
    """A signature whose parts are missing or unreadable (spec 2.3)."""

    code, status = "IncompleteSignature", 400


class SignatureDoesNotMatch(StsError):
    """Wrong scope, wrong time or wrong HMAC (spec 1.4, 2.3)."""

    code, status = "SignatureDoesNotMatch", 403

    WRONG: ClassVar[str] = (
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access"
        " Key and signing method. Consult the service documentation for details."
    )


class InvalidClientTokenId(StsError):
    """Unknown, inactive, foreign or revoked credentials (spec 2.4, contract 6)."""

    code, status = "InvalidClientTokenId", 403

    def __init__(self, *, reason: str) -> None:
        super().__init__("The security token included in the request is invalid.", reason=reason)


class ExpiredToken(StsError):
    """The caller's session is over, by time or by a cut-off (spec 2.4, contract 6)."""

    code, status = "ExpiredToken", 403

    def __init__(self, *, reason: str) -> None:
        super().__init__("The security token included in the request is expired", reason=reason)


class AccessDenied(StsError):
    """The policies say no (spec 4.12)."""

    code, status = "AccessDenied", 403


class InternalFailure(StsError):
    """Our fault; while authenticating or authorising it means deny."""

    code, status = "InternalFailure", 500


class ServiceUnavailable(StsError):
    """Not now: no region to send to, or a change that cannot be stored (contract 4, 10)."""

    code, status = "ServiceUnavailable", 503


class RevocationStateStale(StsError):
    """This node has not heard as far as the caller's `at_least` asks (contract 6)."""

    code, status = "RevocationStateStale", 503


class BareAnswer(StsError):
    """An answer without the XML envelope (spec 1.1); `message` never reaches the wire."""

    def __init__(self, status: int, body: bytes = b"", headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(None, reason=f"bare_{status}")
        self.bare_status = status
        self.body = body
        self.headers = headers
