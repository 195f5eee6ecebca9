"""A refusal of an assertion: the text of spec 3.3.2 and a word for the log."""

from __future__ import annotations

from typing import Final

INVALID: Final = "Invalid base64 SAMLResponse"
NOT_SIGNED: Final = "Response (with optional signature) must contain an assertion with a mandatory signature"
BAD_SIGNATURE: Final = "Response signature invalid"
NO_PROVIDER: Final = "Specified provider doesn't exist"
WRONG_ISSUER: Final = "Issuer not present in specified provider"

_BEHIND = {
    INVALID: "AuthSamlInvalidSamlResponseException",
    NOT_SIGNED: "AuthSamlInvalidSamlResponseException",
    BAD_SIGNATURE: "AuthSamlInvalidSamlResponseException",
    NO_PROVIDER: "AuthSamlManifestNotFoundException",
    WRONG_ISSUER: "AuthSamlInvalidSamlResponseException",
}
"""Texts of the service behind STS, by its error code; they end with what that service answered (spec 3.3.2)."""


class Refused(ValueError):
    """What is wrong, in AWS's words; `reason` is for the log and never on the wire."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.text = text
        self.reason = reason

    def message(self, request_id: str) -> str:
        """The text as it goes on the wire; one service answers here, so there is one request id."""
        code = _BEHIND.get(self.text)
        if code is None:
            return self.text
        return (
            f"{self.text} (Service: AWSOpenIdDiscoveryService; Status Code: 400; Error Code: {code};"
            f" Request ID: {request_id}; Proxy: null)"
        )


def invalid(reason: str) -> Refused:
    """The refusal of what is not a SAML response as it has to be."""
    return Refused(INVALID, reason)
