"""Session policies of a request: the inline one and the managed ones (spec 3.2.5), and what they take (spec 3.2.8)."""

from __future__ import annotations

from typing import Any, NamedTuple

from stsd import policy
from stsd.errors import MalformedPolicyDocument, PackedPolicyTooLarge
from stsd.operations.sts import packing
from stsd.operations.sts.session_tags import Tags
from stsd.policy import Policy, PolicyError
from stsd.view import View

MAX_POLICY_CHARACTERS = 131_072
"""What IAM takes in any policy (spec 7.3). A longer one cannot fit once packed and is not worth reading."""


class SessionPolicies(NamedTuple):
    """The inline policy, if any, and the ARNs of managed ones. `plaintext_percent` is what they take of the plaintext
    that the operation allows, 0 where it allows any."""

    inline: Policy | None = None
    managed: tuple[str, ...] = ()
    plaintext_percent: int = 0

    @property
    def texts(self) -> tuple[str, ...]:
        """As a session carries them."""
        return () if self.inline is None else (self.inline.text,)

    def check_managed(self, account: str, view: View) -> None:
        """Managed ones are of `account`, the role's or the caller's, or AWS's, and exist. Raises
        MalformedPolicyDocument; to be asked once the request is allowed."""
        for policy_arn in self.managed:
            owner = policy_arn.split(":")[4:5]
            if view.directory.managed_policy(policy_arn) is None or owner not in ([account], ["aws"]):
                raise MalformedPolicyDocument(
                    f"Policy {policy_arn} does not exist or is not attachable.", reason="policy_arn"
                )

    def packed_size(self, passed: Tags = (), inherited: Tags = (), *, assertion: int = 0) -> int | None:
        """Percent of the budget that policies and tags take, with the `assertion` percent of an identity provider's;
        None when there is none of them in the request. Raises PackedPolicyTooLarge above 100."""
        if self.plaintext_percent > 100:
            raise _too_large(self.plaintext_percent)
        told = self.inline or self.managed or passed or assertion
        if not (told or inherited):
            return None
        percent = (packing.packed_size(self.inline, self.managed, (*inherited, *passed)) or 0) + assertion
        if percent <= 100:
            return percent if told else None
        if (passed or inherited) and self.inline is None and not self.managed:
            raise PackedPolicyTooLarge(
                f"Packed size of session tags consumes {percent}% of allotted space.", reason="packed_size"
            )
        raise _too_large(percent)


NO_POLICIES = SessionPolicies()


def read(arguments: dict[str, Any], *, any_plaintext: bool = False) -> SessionPolicies:
    """The policies of validated arguments; AssumeRole alone takes `any_plaintext` (spec 3.2.5). Raises
    MalformedPolicyDocument, PackedPolicyTooLarge."""
    if "Policy" not in arguments and "PolicyArns" not in arguments:
        return NO_POLICIES
    document = arguments.get("Policy")
    managed = tuple(entry["arn"] for entry in arguments.get("PolicyArns", ()))
    plaintext = 0 if any_plaintext else packing.plaintext_percent(document or "", *managed)
    return SessionPolicies(_inline(document), managed, plaintext)


def _inline(document: str | None) -> Policy | None:
    if document is None:
        return None
    if len(document) > MAX_POLICY_CHARACTERS:
        raise _too_large(packing.text_percent(len(document)))
    try:
        return policy.parse(document, "session")
    except PolicyError as error:
        raise MalformedPolicyDocument(str(error), reason="session_policy") from None


def _too_large(percent: int) -> PackedPolicyTooLarge:
    return PackedPolicyTooLarge(
        f"Packed policy consumes {percent}% of allotted space, please use smaller policy.", reason="packed_size"
    )
