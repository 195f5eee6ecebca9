"""The directory: accounts, root users, users, roles, access keys, providers and policies, the policies compiled.

One immutable snapshot. A change makes a new directory and swaps it whole, so a request sees one state throughout.
ARNs, ids and names compare exactly, as in IAM's answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stsd.policy import NamedPolicy
from stsd.principal import Principal

ADMINISTRATOR_ACCESS_ARN = "arn:aws:iam::aws:policy/AdministratorAccess"
DEFAULT_MAX_SESSION_DURATION_S = 3600

Tags = Mapping[str, str]
"""Keys as they were written, each once beyond case."""


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """Who issues an account's web identity tokens (spec 3.11): a UUID, and private keys in PEM (PKCS #8)."""

    id: str
    rsa_key: str = field(repr=False)
    ec_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Account:
    """`id` is 12 digits; `alias` and `email` are empty where the account has none.

    `enabled_regions` are the opt-in regions that it has enabled (spec 5.4); `global_token_version` is 1 or 2, of
    tokens that the global endpoint issues (spec 5.3). `token_issuer` is None while outbound federation is off.
    """

    id: str
    alias: str = ""
    email: str = ""
    enabled_regions: frozenset[str] = frozenset()
    global_token_version: int = 1
    token_issuer: TokenIssuer | None = None


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization of all accounts of the world. `delegated_administrators` are accounts that may manage root access
    beside the management account, `root_access` its features: RootCredentialsManagement, RootSessions (spec 3.5)."""

    management_account: str
    delegated_administrators: frozenset[str] = frozenset()
    root_access: frozenset[str] = frozenset()

    @property
    def root_administrators(self) -> frozenset[str]:
        """The accounts whose principals may call AssumeRoot."""
        return self.delegated_administrators | {self.management_account}


@dataclass(frozen=True, slots=True)
class MFADevice:
    """A virtual MFA device; `seed` is the shared secret of RFC 6238, as bytes."""

    serial_number: str
    seed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RootUser:
    """The root user of an account: no policy of its own, and no identity policy limits it (spec 4.9.1)."""

    account: str
    principal: Principal
    mfa_devices: tuple[MFADevice, ...] = ()
    policies: tuple[NamedPolicy, ...] = ()
    tags: Tags = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """`arn:aws:iam::A:root`."""
        return self.principal.arn


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
    mfa_devices: tuple[MFADevice, ...] = ()
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Role:
    """An IAM role. `account` is the account's id; `max_session_duration` is in seconds.

    `trust` is the role's trust policy, its user and role principals bound to their unique ids (spec 4.3).
    `require_fresh` roles are refused by a node that might have missed a revocation (contract 10). Sessions of
    `confirmation_key` roles carry the public key of their SigV4A signatures (RFC 7800).
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
    confirmation_key: bool = False
    tags: Tags = field(default_factory=dict)


Holder = User | Role | RootUser
"""Whom a session's permissions come from."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A long-term credential of a user or a root user. An inactive one is refused before its signature is looked at
    (spec 2.4)."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    active: bool
    user: User | RootUser


BUILT_IN_PROVIDERS = ("accounts.google.com", "cognito-identity.amazonaws.com")
"""Issuers of ID tokens that AWS knows by itself: policies and answers name them by their host (spec 3.4, 4.3)."""


@dataclass(frozen=True, slots=True)
class OpenIDConnectProvider:
    """An issuer of ID tokens that an account trusts (spec 3.4). `url` is the issuer with its scheme.

    `jwks` are keys given by the operator (RFC 7517), with which nothing is fetched; else they are discovered.
    """

    account: str
    arn: str
    url: str
    client_ids: tuple[str, ...]
    thumbprints: tuple[str, ...] = ()
    jwks: Mapping[str, Any] | None = None
    allow_private_address: bool = False

    @property
    def identity(self) -> str:
        """The URL without its scheme: the prefix of condition keys (spec 3.4.1)."""
        return self.url.partition("://")[2]

    @property
    def name(self) -> str:
        """What answers, sessions and the log call it: the host of a built-in one, else the ARN (spec 3.4)."""
        return self.identity if self.identity in BUILT_IN_PROVIDERS else self.arn


@dataclass(frozen=True, slots=True)
class SAMLProvider:
    """An identity provider whose assertions an account trusts (spec 3.3); `metadata` is its metadata document, XML."""

    account: str
    arn: str
    name: str
    metadata: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Directory:
    """Everything by its key: accounts and root users by account id, users and roles by ARN and by unique id, access
    keys by id, providers by ARN.

    `managed_policies` are by ARN and include those of AWS, which every account shares.
    """

    accounts: Mapping[str, Account]
    root_users: Mapping[str, RootUser]
    users: Mapping[str, User]
    users_by_id: Mapping[str, User]
    roles: Mapping[str, Role]
    roles_by_id: Mapping[str, Role]
    access_keys: Mapping[str, AccessKey]
    managed_policies: Mapping[str, NamedPolicy]
    oidc_providers: Mapping[str, OpenIDConnectProvider] = field(default_factory=dict)
    saml_providers: Mapping[str, SAMLProvider] = field(default_factory=dict)
    organization: Organization | None = None

    def issuer(self, id_: str) -> TokenIssuer | None:
        """The issuer of web identity tokens with this UUID."""
        issuers = (account.token_issuer for account in self.accounts.values())
        return next((issuer for issuer in issuers if issuer is not None and issuer.id == id_), None)

    def managed_policy(self, arn: str) -> NamedPolicy | None:
        """The managed policy with exactly this ARN, whichever account owns it; None when there is none."""
        return self.managed_policies.get(arn)
