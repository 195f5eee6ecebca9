"""The Principal element of trust policies: whom a statement names (spec 4.3).

A user's or role's ARN is bound to the unique id it has when the policy is stored, so that one created later under
the same name is somebody else. Sessions and identity providers are named by ARN, accounts by id, providers that AWS
knows by itself also by their host. Service principals are understood and never match a caller.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from stsd.principal import Principal

_ACCOUNT = re.compile(r"(?P<id>[0-9]{12})|arn:aws[a-z-]*:iam::(?P<of_root>[0-9]{12}):root")
_STORED_BY_ID = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:(?:user|role)/(?:[!-)+->@-~]+/)?[A-Za-z0-9_+=,.@-]+")
_SESSION = re.compile(
    r"arn:aws[a-z-]*:sts::[0-9]{12}:(?:assumed-role/[A-Za-z0-9_+=,.@-]+|federated-user)/[A-Za-z0-9_+=,.@-]+"
)
_FEDERATED = re.compile(
    r"arn:aws[a-z-]*:iam::[0-9]{12}:(?:saml|oidc)-provider/[!-)+->@-~]+"
    r"|accounts\.google\.com|cognito-identity\.amazonaws\.com|www\.amazon\.com|graph\.facebook\.com"
)
_SERVICE = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.amazonaws\.com(?:\.cn)?")
_FORMS = {"Federated": _FEDERATED, "Service": _SERVICE}


class InvalidPrincipalError(ValueError):
    """A principal that IAM does not accept, in IAM's words."""


@dataclass(frozen=True, slots=True)
class Principals:
    """Whom one statement names. `aws` are its AWS principals as written; the sets are what matching uses.

    `arns` are sessions, and users and roles until `bind` turns them into `unique_ids`.
    """

    aws: tuple[str, ...] = ()
    everyone: bool = False
    accounts: frozenset[str] = frozenset()
    arns: frozenset[str] = frozenset()
    unique_ids: frozenset[str] = frozenset()
    providers: frozenset[str] = frozenset()

    def names_session(self, principal: Principal) -> bool:
        """Whether this very session is named, of a role or a federated user."""
        return principal.kind in ("assumed_role", "federated_user") and principal.arn in self.arns

    def names_holder(self, principal: Principal) -> bool:
        """Whether the user or the role behind a session is named."""
        if principal.kind not in ("user", "assumed_role"):
            return False
        return principal.unique_id in self.unique_ids or principal.policy_arn in self.arns

    def names_provider(self, principal: Principal) -> bool:
        """Whether the identity provider is named whose assertion is being exchanged; everyone is not (spec 3.3.3)."""
        return principal.kind == "federated" and not self.providers.isdisjoint((principal.arn, principal.unique_id))

    def names_account(self, principal: Principal) -> bool:
        """Whether the principal's account is named."""
        return principal.account in self.accounts


def parse(element: object) -> Principals:
    """The Principal of a trust policy. Raises InvalidPrincipalError, or ValueError for what is no principal at all."""
    if element == "*":
        # Only the scalar is refused; {"AWS": "*"} is how a trust policy names everyone (spec 4.3).
        raise _invalid("star", "*")
    if not isinstance(element, Mapping) or not element:
        raise ValueError('takes an object such as {"AWS": …}')
    aws: tuple[str, ...] = ()
    providers: frozenset[str] = frozenset()
    for kind, value in element.items():
        texts = _texts(kind, value)
        if kind == "AWS":
            aws = texts
            continue
        for text in texts:
            if kind not in _FORMS or not _FORMS[kind].fullmatch(text):
                raise _invalid(kind, text)
        if kind == "Federated":
            providers = frozenset(texts)
    return replace(_aws(aws), providers=providers)


def bind(principals: Principals, ids: Mapping[str, str]) -> Principals:
    """The same principals with users and roles by unique id. Raises InvalidPrincipalError for one not in `ids`."""
    stored = [arn for arn in principals.arns if _STORED_BY_ID.fullmatch(arn)]
    for arn in stored:
        if arn not in ids:
            raise _invalid("AWS", arn)
    return replace(
        principals,
        arns=principals.arns.difference(stored),
        unique_ids=principals.unique_ids.union(ids[arn] for arn in stored),
    )


def _texts(kind: object, value: object) -> tuple[str, ...]:
    texts = value if isinstance(value, list | tuple) else [value]
    found = tuple(text for text in texts if isinstance(text, str))
    if not texts or len(found) != len(texts):
        raise ValueError(f"{kind} takes one text or a list of texts")
    return found


def _aws(texts: Iterable[str]) -> Principals:
    texts = tuple(dict.fromkeys(texts))
    accounts, arns = set(), set()
    for text in texts:
        if account := _ACCOUNT.fullmatch(text):
            accounts.add(account["id"] or account["of_root"])
        elif _STORED_BY_ID.fullmatch(text) or _SESSION.fullmatch(text):
            arns.add(text)
        elif text != "*":
            raise _invalid("AWS", text)
    return Principals(texts, "*" in texts, frozenset(accounts), frozenset(arns))


def _invalid(kind: object, text: str) -> InvalidPrincipalError:
    return InvalidPrincipalError(f'Invalid principal in policy: "{str(kind).upper()}":"{text}"')
