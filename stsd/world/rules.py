"""What a schema cannot say: policies compile, references lead somewhere, and there is one administrator at least.

Each rule is a function that yields faults; `RULES` lists them. A rule passes over what has not the right form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Literal

from stsd import policy
from stsd.arn import parse as parse_arn
from stsd.directory import ADMINISTRATOR_ACCESS_ARN, BUILT_IN_PROVIDERS
from stsd.policy import AWS_MANAGED, Policy, PolicyError
from stsd.world.entries import (
    ADMIN,
    accounts,
    active_keys,
    administrator,
    entries,
    has_keys,
    policy_arn,
    profile_name,
    role_arn,
    unmarked_admin,
    user_arn,
)
from stsd.world.faults import Fault, Path, shown
from stsd.world.identity_rules import (
    enabled_regions,
    mfa_devices,
    oidc_providers,
    organization,
    saml_providers,
    tags,
)
from stsd.world.naming import access_keys, aliases, inline_policy_names, names, unique_ids

_ACCOUNT_ID = re.compile(r"[0-9]{12}")
_DOCUMENT_LENGTH = 131_072


def groups(document: object) -> Iterator[Fault]:
    """The groups of a user are groups of its account."""
    for account in accounts(document):
        known = [group.text("GroupName") for group in account.items("Groups")]
        for user in account.items("Users"):
            for path, name in user.texts("Groups"):
                if name not in known:
                    yield Fault(path, f"{shown(name, ())} is not a group of this account ({_choice(known)})")


def attached_policies(document: object) -> Iterator[Fault]:
    """An attached policy is a managed policy of the account or of AWS."""
    for account in accounts(document):
        known = [*map(policy_arn, account.items("ManagedPolicies")), *AWS_MANAGED]
        for kind in ("Groups", "Users", "Roles"):
            for entry in account.items(kind):
                for path, attached in entry.texts("AttachedPolicies"):
                    if attached not in known:
                        said = f"{shown(attached, ())} is not a managed policy of this account or of AWS"
                        yield Fault(path, f"{said} ({_choice(known)})")


def policies(document: object) -> Iterator[Fault]:
    """Every identity policy compiles."""
    for managed in entries(document, "ManagedPolicies"):
        if "Document" in managed.fields:
            yield from _policy((*managed.path, "Document"), managed.fields["Document"], "identity")[1]
    for kind in ("Groups", "Users", "Roles"):
        for entry in entries(document, kind):
            for path, _, value in entry.documents():
                yield from _policy(path, value, "identity")[1]


def trust_policies(document: object) -> Iterator[Fault]:
    """Every trust policy compiles, and the users, roles and built-in providers that it names exist (spec 4.3)."""
    known = {*map(user_arn, entries(document, "Users")), *map(role_arn, entries(document, "Roles"))}
    issuers = {(entry.account, entry.text("Url")) for entry in entries(document, "OpenIDConnectProviders")}
    for role in entries(document, "Roles"):
        if "AssumeRolePolicyDocument" not in role.fields:
            continue
        path = (*role.path, "AssumeRolePolicyDocument")
        compiled, faults = _policy(path, role.fields["AssumeRolePolicyDocument"], "trust")
        yield from faults
        for principal in compiled.principals() if compiled else ():
            if not (principal in known or _needs_no_entry(principal)):
                yield Fault(path, f'Invalid principal in policy: "AWS":"{principal}"')
        for host in compiled.providers() if compiled else ():
            listed = host in BUILT_IN_PROVIDERS and (role.account, f"https://{host}") in issuers
            if not (listed or host.startswith("arn:")):
                yield Fault(path, f'Invalid principal in policy: "FEDERATED":"{host}" ({_mend(host)})')


def administrators(document: object) -> Iterator[Fault]:
    """The user of the `admin` profile can sign, and adding one does not change a user that is already there."""
    found = administrator(document)
    if found is not None:
        if "AccessKeys" in found.fields and not active_keys(found):
            mend = "leave AccessKeys out to have one generated"
            yield Fault((*found.path, "AccessKeys"), f"holds no active key, and the profile admin needs one ({mend})")
        return
    existing = unmarked_admin(document)
    if existing is not None:
        # Making it an administrator silently, or another name than the documented one, would both surprise.
        mend = f"mark it or another user Administrator: true, or attach {ADMINISTRATOR_ACCESS_ARN} to it"
        said = "no user is an administrator, and the name of the one to be added is taken"
        yield Fault((*existing.path, "UserName"), f"{said} ({mend})")


def profile_names(document: object) -> Iterator[Fault]:
    """No two users share a profile, `<alias>-<user>` (contract 3)."""
    seen: dict[str, str] = {}
    for index, account in enumerate(accounts(document)):
        if index == 0 and administrator(document) is None and unmarked_admin(document) is None:
            seen[profile_name(account, ADMIN)] = "the administrator that is added"
        for user in account.items("Users"):
            name = profile_name(account, user.text("UserName"))
            if has_keys(user) and seen.setdefault(name, user_arn(user)) != user_arn(user):
                said = f"its profile {shown(name, ())} is also that of {seen[name]}"
                yield Fault((*user.path, "UserName"), f"{said} (rename the user or change an Alias)")


RULES: tuple[Callable[[object], Iterator[Fault]], ...] = (
    aliases,
    names,
    inline_policy_names,
    unique_ids,
    access_keys,
    groups,
    attached_policies,
    policies,
    trust_policies,
    administrators,
    profile_names,
    tags,
    mfa_devices,
    oidc_providers,
    saml_providers,
    enabled_regions,
    organization,
)


def faults(document: object) -> Iterator[Fault]:
    """Where the document breaks a rule."""
    for rule in RULES:
        yield from rule(document)


def _policy(path: Path, document: Any, kind: Literal["identity", "trust"]) -> tuple[Policy | None, list[Fault]]:
    """The compiled policy or why there is none. What is neither text nor an object is the schema's fault."""
    if not isinstance(document, str | dict):
        return None, []
    if len(document) > _DOCUMENT_LENGTH:
        return None, [Fault(path, f"is too long (allowed: at most {_DOCUMENT_LENGTH} characters)")]
    try:
        return policy.parse(document, kind), []
    except PolicyError as error:
        said = str(error)
        return None, [Fault(path, said if error.detail == said else f"{said} ({error.detail})")]


def _needs_no_entry(principal: str) -> bool:
    """Accounts, `*` and sessions may be named without being in the world; users and roles may not (spec 4.3)."""
    if principal == "*" or _ACCOUNT_ID.fullmatch(principal):
        return True
    try:
        named = parse_arn(principal)
    except ValueError:
        return False
    return named.service == "sts" or named.resource == "root"


def _mend(host: str) -> str:
    """What makes a trust policy work that names a provider by its host."""
    if host in BUILT_IN_PROVIDERS:
        return f"list https://{host} in OpenIDConnectProviders of this account"
    return f"nobody asks {host} about access tokens"


def _choice(known: list[str]) -> str:
    return f"known: {', '.join(known[:10])}{', …' if len(known) > 10 else ''}" if known else "it has none"
