"""A materialised world → the directory: ARNs made, policies compiled, references resolved, trust bound to ids."""

from __future__ import annotations

from base64 import b32decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from stsd import arn as arns
from stsd import policy
from stsd.directory import (
    ADMINISTRATOR_ACCESS_ARN,
    DEFAULT_MAX_SESSION_DURATION_S,
    AccessKey,
    Account,
    Directory,
    MFADevice,
    OpenIDConnectProvider,
    Organization,
    Role,
    RootUser,
    SAMLProvider,
    Tags,
    TokenIssuer,
    User,
)
from stsd.policy import AWS_MANAGED, TASK_POLICIES, NamedPolicy
from stsd.principal import Principal
from stsd.world.entries import (
    ROOT_ACCESS_SERVICE,
    TOKEN_ISSUER,
    Entry,
    accounts,
    entries,
    policy_arn,
    role_arn,
    tag_pairs,
    user_arn,
)

TRUST_POLICY = "trust policy"
"""What a role's trust policy is called among the policies that matched; a role has one, without a name."""

_Value = TypeVar("_Value")


def build(world: Mapping[str, Any]) -> Directory:
    """The directory of a materialised world. One that `materialise` did not make may raise KeyError or PolicyError."""
    managed = {name: NamedPolicy(name, compiled) for name, (_, compiled) in AWS_MANAGED.items()}
    managed |= {name: NamedPolicy(name, compiled) for name, compiled in TASK_POLICIES.items()}
    for entry in entries(world, "ManagedPolicies"):
        name = policy_arn(entry)
        managed[name] = NamedPolicy(name, policy.parse(entry.fields["Document"], "identity"))
    by_group = _group_policies(world, managed)
    ids = {user_arn(user): user.fields["UserId"] for user in entries(world, "Users")}
    ids |= {role_arn(role): role.fields["RoleId"] for role in entries(world, "Roles")}
    users = [_user(entry, managed, by_group) for entry in entries(world, "Users")]
    roles = [_role(entry, managed, ids) for entry in entries(world, "Roles")]
    roots = [_root_user(account) for account in accounts(world)]
    return Directory(
        accounts=_index(map(_account, accounts(world)), lambda account: account.id),
        root_users=_index(roots, lambda root: root.account),
        users=_index(users, lambda user: user.arn),
        users_by_id=_index(users, lambda user: user.user_id),
        roles=_index(roles, lambda role: role.arn),
        roles_by_id=_index(roles, lambda role: role.role_id),
        access_keys=_index(_access_keys(world, users, roots), lambda key: key.access_key_id),
        managed_policies=MappingProxyType(managed),
        oidc_providers=_index(map(_oidc_provider, entries(world, "OpenIDConnectProviders")), lambda found: found.arn),
        saml_providers=_index(map(_saml_provider, entries(world, "SAMLProviders")), lambda found: found.arn),
        organization=_organization(world),
    )


def _index(values: Iterable[_Value], key: Callable[[_Value], str]) -> Mapping[str, _Value]:
    return MappingProxyType({key(value): value for value in values})


def _organization(world: Mapping[str, Any]) -> Organization | None:
    found = world.get("Organization")
    if found is None:
        return None
    entry = Entry(("Organization",), found)
    delegated = entry.items("DelegatedAdministrators")
    return Organization(
        entry.text("ManagementAccount"),
        frozenset(one.text("Account") for one in delegated if one.text("Service") == ROOT_ACCESS_SERVICE),
        frozenset(feature for _, feature in entry.texts("CentralizedRootAccess")),
    )


def _account(entry: Entry) -> Account:
    issuer = entry.fields.get(TOKEN_ISSUER)
    return Account(
        id=entry.account,
        alias=entry.text("Alias"),
        email=entry.text("Email"),
        enabled_regions=frozenset(region for _, region in entry.texts("EnabledRegions")),
        global_token_version=2 if entry.text("GlobalEndpointTokenVersion") == "v2Token" else 1,
        token_issuer=TokenIssuer(issuer["Id"], issuer["RsaKey"], issuer["EcKey"]) if issuer else None,
    )


def _root_user(account: Entry) -> RootUser:
    id_, arn = account.account, arns.root(account.account)
    principal = Principal("root", id_, arn, id_, policy_arn=arn, unique_id=id_, name="root")
    return RootUser(id_, principal, _mfa_devices(account, "RootMFADevices"))


def _mfa_devices(owner: Entry, field: str) -> tuple[MFADevice, ...]:
    return tuple(
        MFADevice(device.fields["SerialNumber"], b32decode(device.fields["Base32StringSeed"], casefold=True))
        for device in owner.items(field)
    )


def _tags(entry: Entry) -> Tags:
    return MappingProxyType(dict(tag_pairs(entry)))


def _oidc_provider(entry: Entry) -> OpenIDConnectProvider:
    url = entry.text("Url")
    return OpenIDConnectProvider(
        account=entry.account,
        arn=arns.oidc_provider(entry.account, url),
        url=url,
        client_ids=tuple(client for _, client in entry.texts("ClientIDList")),
        thumbprints=tuple(thumbprint.lower() for _, thumbprint in entry.texts("ThumbprintList")),
        jwks=entry.fields.get("Jwks"),
        allow_private_address=entry.fields.get("AllowPrivateAddress", False),
    )


def _saml_provider(entry: Entry) -> SAMLProvider:
    name = entry.text("Name")
    arn = arns.saml_provider(entry.account, name)
    return SAMLProvider(entry.account, arn, name, entry.text("SAMLMetadataDocument"))


def _policies(entry: Entry, managed: Mapping[str, NamedPolicy]) -> Iterator[NamedPolicy]:
    """The inline policies of an entry, then the attached ones."""
    for _, name, document in entry.documents():
        yield NamedPolicy(name, policy.parse(document, "identity"))
    for _, attached in entry.texts("AttachedPolicies"):
        yield managed[attached]


def _group_policies(
    world: Mapping[str, Any], managed: Mapping[str, NamedPolicy]
) -> dict[tuple[str, str], tuple[NamedPolicy, ...]]:
    groups = entries(world, "Groups")
    return {(group.account, group.text("GroupName")): tuple(_policies(group, managed)) for group in groups}


def _user(
    entry: Entry,
    managed: Mapping[str, NamedPolicy],
    by_group: Mapping[tuple[str, str], tuple[NamedPolicy, ...]],
) -> User:
    found = list(_policies(entry, managed))
    for _, group in entry.texts("Groups"):
        found += by_group[entry.account, group]
    administrator = entry.fields.get("Administrator", False)
    if administrator:
        found.append(managed[ADMINISTRATOR_ACCESS_ARN])
    name, arn, user_id = entry.text("UserName"), user_arn(entry), entry.fields["UserId"]
    return User(
        account=entry.account,
        name=name,
        path=entry.text("Path", "/"),
        user_id=user_id,
        arn=arn,
        administrator=administrator,
        policies=_once(found),
        principal=Principal("user", entry.account, arn, user_id, policy_arn=arn, unique_id=user_id, name=name),
        mfa_devices=_mfa_devices(entry, "MFADevices"),
        tags=_tags(entry),
    )


def _once(policies: Iterable[NamedPolicy]) -> tuple[NamedPolicy, ...]:
    """Without the managed policies that are attached twice, directly and through groups."""
    return tuple({id(named): named for named in policies}.values())


def _role(entry: Entry, managed: Mapping[str, NamedPolicy], ids: Mapping[str, str]) -> Role:
    trust = policy.bind(policy.parse(entry.fields["AssumeRolePolicyDocument"], "trust"), ids)
    return Role(
        account=entry.account,
        name=entry.text("RoleName"),
        path=entry.text("Path", "/"),
        role_id=entry.fields["RoleId"],
        arn=role_arn(entry),
        description=entry.text("Description"),
        trust=NamedPolicy(TRUST_POLICY, trust),
        policies=_once(_policies(entry, managed)),
        max_session_duration=int(entry.fields.get("MaxSessionDuration", DEFAULT_MAX_SESSION_DURATION_S)),
        require_fresh=entry.fields.get("RequireFresh", False),
        confirmation_key=entry.fields.get("ConfirmationKey", False),
        tags=_tags(entry),
    )


def _access_keys(world: Mapping[str, Any], users: Iterable[User], roots: Iterable[RootUser]) -> Iterator[AccessKey]:
    for entry, user in zip(entries(world, "Users"), users, strict=True):
        yield from (_access_key(key, user) for key in entry.items("AccessKeys"))
    for entry, root in zip(accounts(world), roots, strict=True):
        yield from (_access_key(key, root) for key in entry.items("RootAccessKeys"))


def _access_key(key: Entry, owner: User | RootUser) -> AccessKey:
    active = key.text("Status", "Active") == "Active"
    return AccessKey(key.fields["AccessKeyId"], key.fields["SecretAccessKey"], active, owner)
