"""A materialised world → the directory: ARNs made, policies compiled, references resolved, trust bound to ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from stsd import policy
from stsd.directory import (
    ADMINISTRATOR_ACCESS_ARN,
    DEFAULT_MAX_SESSION_DURATION_S,
    AccessKey,
    Account,
    Directory,
    Role,
    User,
)
from stsd.policy import AWS_MANAGED, NamedPolicy
from stsd.principal import Principal
from stsd.world.entries import Entry, accounts, entries, policy_arn, role_arn, user_arn

TRUST_POLICY = "trust policy"
"""What a role's trust policy is called among the policies that matched; a role has one, without a name."""

_Value = TypeVar("_Value")


def build(world: Mapping[str, Any]) -> Directory:
    """The directory of a materialised world. One that `materialise` did not make may raise KeyError or PolicyError."""
    managed = {name: NamedPolicy(name, compiled) for name, (_, compiled) in AWS_MANAGED.items()}
    for entry in entries(world, "ManagedPolicies"):
        name = policy_arn(entry)
        managed[name] = NamedPolicy(name, policy.parse(entry.fields["Document"], "identity"))
    by_group = _group_policies(world, managed)
    ids = {user_arn(user): user.fields["UserId"] for user in entries(world, "Users")}
    ids |= {role_arn(role): role.fields["RoleId"] for role in entries(world, "Roles")}
    users = [_user(entry, managed, by_group) for entry in entries(world, "Users")]
    roles = [_role(entry, managed, ids) for entry in entries(world, "Roles")]
    return Directory(
        accounts=_index(map(_account, accounts(world)), lambda account: account.id),
        users=_index(users, lambda user: user.arn),
        users_by_id=_index(users, lambda user: user.user_id),
        roles=_index(roles, lambda role: role.arn),
        roles_by_id=_index(roles, lambda role: role.role_id),
        access_keys=_index(_access_keys(world, users), lambda key: key.access_key_id),
        managed_policies=MappingProxyType(managed),
    )


def _index(values: Iterable[_Value], key: Callable[[_Value], str]) -> Mapping[str, _Value]:
    return MappingProxyType({key(value): value for value in values})


def _account(entry: Entry) -> Account:
    return Account(entry.account, entry.text("Alias"), entry.text("Email"))


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
    )


def _access_keys(world: Mapping[str, Any], users: Iterable[User]) -> Iterator[AccessKey]:
    for entry, user in zip(entries(world, "Users"), users, strict=True):
        for key in entry.items("AccessKeys"):
            active = key.text("Status", "Active") == "Active"
            yield AccessKey(key.fields["AccessKeyId"], key.fields["SecretAccessKey"], active, user)
