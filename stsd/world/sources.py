"""Whose keys a role's profile should use: a user or another role that may assume it, as far as can be read off.

The node decides with the whole policy engine. This only picks an example, so it reads the plain cases and gives none
where a statement asks for more than an external id and an MFA code: a profile that is written works.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from stsd.directory import Directory, Role, User
from stsd.policy import NamedPolicy
from stsd.wildcards import compile_glob
from stsd.world.entries import entries, policy_document, role_arn

_ASSUME_ROLE = "sts:assumerole"
_ACCOUNT = re.compile(r"([0-9]{12})|arn:aws:iam::([0-9]{12}):root")
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Source:
    """Who assumes a role, by ARN, and what its trust policy asks for: an external id, a code of an MFA device."""

    arn: str
    external_id: str | None = None
    mfa_serial: str | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a statement's condition asks for."""

    external_id: str | None = None
    mfa: bool = False


def sources(world: Mapping[str, Any], directory: Directory) -> dict[str, Source]:
    """For each role, by ARN, a user with an active key that may assume it, or a role that such a user leads to.

    A role stands behind the role that leads to it. Roles that nobody reaches in a plain way are left out.
    """
    able = {key.user.arn for key in directory.access_keys.values() if key.active}
    found: dict[str, Source] = {}
    waiting = {
        role_arn(role): policy_document(role.fields["AssumeRolePolicyDocument"]) for role in entries(world, "Roles")
    }
    while True:
        reached = {
            arn: source
            for arn, trust in waiting.items()
            if (source := _source(directory.roles[arn], trust, directory, able | found.keys()))
        }
        if not reached:
            return found
        found |= reached
        waiting = {arn: trust for arn, trust in waiting.items() if arn not in reached}


def _source(role: Role, trust: dict[str, Any], directory: Directory, able: set[str]) -> Source | None:
    statements = _statements(trust)
    if any(statement["Effect"] == "Deny" for statement in statements):
        return None
    for statement in statements:
        asked = _asked(statement.get("Condition", {}))
        if asked is None or not _action_matches(statement):
            continue
        for holder, direct in _named(statement, role, directory):
            if holder.arn in able and (direct or _allows(holder.policies, role.arn)):
                devices = holder.mfa_devices if isinstance(holder, User) else ()
                if not asked.mfa:
                    return Source(holder.arn, asked.external_id)
                if devices:  # a code is of a user's device (spec 3.2.9)
                    return Source(holder.arn, asked.external_id, devices[0].serial_number)
    return None


def _named(statement: dict[str, Any], role: Role, directory: Directory) -> Iterator[tuple[User | Role, bool]]:
    """Who the statement names, and whether that alone is enough: in the role's account, by ARN (spec 4.9.4)."""
    principal = statement.get("Principal")
    for named in _list(principal.get("AWS")) if isinstance(principal, dict) else ():
        account = _ACCOUNT.fullmatch(named)
        holder = directory.users.get(named) or directory.roles.get(named)
        if account:
            users = [user for user in directory.users.values() if user.account in account.groups()]
            # The administrator may do everything; somebody who was given just this is the better example.
            for user in sorted(users, key=lambda user: user.administrator):
                yield user, False
        elif holder is not None:
            yield holder, holder.account == role.account and not _denies(holder.policies, role.arn)


def _allows(policies: Iterable[NamedPolicy], resource: str) -> bool:
    return not _denies(policies, resource) and any(
        statement["Effect"] == "Allow"
        and not {"Condition", "NotAction"} & statement.keys()
        and _matches(statement, resource)
        for statement in _about_assuming(policies)
    )


def _denies(policies: Iterable[NamedPolicy], resource: str) -> bool:
    """Whether a Deny might apply; conditions are not looked at, and what is excluded counts as included."""
    return any(
        statement["Effect"] == "Deny" and ("NotResource" in statement or _matches(statement, resource))
        for statement in _about_assuming(policies)
    )


def _about_assuming(policies: Iterable[NamedPolicy]) -> Iterator[dict[str, Any]]:
    for named in policies:
        yield from _parsed(named.policy.text)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> tuple[dict[str, Any], ...]:
    """The statements of a policy that speak of sts:AssumeRole, or of everything but some actions."""
    return tuple(s for s in _statements(json.loads(text)) if "NotAction" in s or _action_matches(s))


def _statements(document: dict[str, Any]) -> list[dict[str, Any]]:
    return _list(document.get("Statement"))


def _action_matches(statement: dict[str, Any]) -> bool:
    return any(compile_glob(action.lower())(_ASSUME_ROLE) for action in _list(statement.get("Action")))


def _matches(statement: dict[str, Any], resource: str) -> bool:
    return any(compile_glob(pattern)(resource) for pattern in _list(statement.get("Resource")))


def _asked(condition: dict[str, Any]) -> _Asked | None:
    """What a condition asks for, if it is nothing but an external id that can be given and an MFA code."""
    asked = _Asked()
    for operator, keys in condition.items():
        for key, values in keys.items():
            if operator == "StringEquals" and key.lower() == "sts:externalid":
                usable = [value for value in _list(values) if isinstance(value, str) and _EXTERNAL_ID.fullmatch(value)]
                if not usable:
                    return None
                asked = replace(asked, external_id=usable[0])
            elif _is_kept_by_a_code(operator, key.lower(), _list(values)):
                asked = replace(asked, mfa=True)
            else:
                return None
    return asked


def _is_kept_by_a_code(operator: str, key: str, values: list[Any]) -> bool:
    """Whether a code in the request itself is enough: MFA is then present, and of age 0 (spec 3.2.9)."""
    texts = [str(value).lower() for value in values]
    if key == "aws:multifactorauthpresent":
        return (operator in ("Bool", "BoolIfExists") and "true" in texts) or (operator == "Null" and texts == ["false"])
    if key == "aws:multifactorauthage" and operator == "Null":
        return texts == ["false"]
    if key == "aws:multifactorauthage" and operator.removesuffix("IfExists") in _AGE_OPERATORS:
        return any(_SECONDS.fullmatch(text) for text in texts)
    return False


_AGE_OPERATORS = frozenset({"NumericLessThan", "NumericLessThanEquals"})
_SECONDS = re.compile(r"[1-9][0-9]{0,8}")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
