"""The directory: accounts, users, roles, access keys and managed policies, with their policies compiled.

One immutable snapshot. A change makes a new directory and swaps it whole, so a request sees one state throughout.
ARNs, ids and names compare exactly, as in IAM's answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stsd.policy import NamedPolicy
from stsd.principal import Principal

ADMINISTRATOR_ACCESS_ARN = "arn:aws:iam::aws:policy/AdministratorAccess"
DEFAULT_MAX_SESSION_DURATION_S = 3600


@dataclass(frozen=True, slots=True)
class Account:
    """`id` is 12 digits; `alias` and `email` are empty where the account has none."""

    id: str
    alias: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """An IAM user. `account` is the account's id; `policies` are its own, its attached and its groups' policies."""

    account: str
    name: str
    path: str
    user_id: str
    arn: str
    administrator: bool
    policies: tuple[NamedPolicy, ...]
    principal: Principal


@dataclass(frozen=True, slots=True)
class Role:
    """An IAM role. `account` is the account's id; `max_session_duration` is in seconds.

    `trust` is the role's trust policy, its user and role principals bound to their unique ids (spec 4.3).
    `require_fresh` roles are refused by a node that might have missed a revocation (contract 10).
    """

    account: str
    name: str
    path: str
    role_id: str
    arn: str
    description: str
    trust: NamedPolicy
    policies: tuple[NamedPolicy, ...]
    max_session_duration: int = DEFAULT_MAX_SESSION_DURATION_S
    require_fresh: bool = False


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A long-term credential of a user. An inactive one is refused before its signature is looked at (spec 2.4)."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    active: bool
    user: User


@dataclass(frozen=True, slots=True)
class Directory:
    """Everything by its key: accounts by id, users and roles by ARN and by unique id, access keys by id.

    `managed_policies` are by ARN and include those of AWS, which every account shares.
    """

    accounts: Mapping[str, Account]
    users: Mapping[str, User]
    users_by_id: Mapping[str, User]
    roles: Mapping[str, Role]
    roles_by_id: Mapping[str, Role]
    access_keys: Mapping[str, AccessKey]
    managed_policies: Mapping[str, NamedPolicy]

    def managed_policy(self, arn: str) -> NamedPolicy | None:
        """The managed policy with exactly this ARN, whichever account owns it; None when there is none."""
        return self.managed_policies.get(arn)
