"""Reading a world document: its accounts, users, roles, …, where each stands, and the names that follow from them.

Nothing here trusts the document: what has not the right form is passed over, because its fault is reported elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stsd import arn
from stsd.directory import ADMINISTRATOR_ACCESS_ARN
from stsd.world.faults import Path

ADMIN = "admin"
"""The profile of the administrator, and the name of the user that is added where none is marked."""

TOKEN_ISSUER = "TokenIssuer"  # noqa: S105 - a field's name
"""A field that materialising adds to accounts with outbound federation: the UUID and the keys of their issuer."""

ROOT_ACCESS_SERVICE = "iam.amazonaws.com"
"""The service whose delegated administrators may manage root access (spec 3.5)."""

NAME_FIELDS = {"ManagedPolicies": "PolicyName", "Groups": "GroupName", "Users": "UserName", "Roles": "RoleName"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of the document. `account` is the id of the account that it stands in, empty where it has none."""

    path: Path
    fields: dict[str, Any]
    account: str = ""

    def text(self, field: str, default: str = "") -> str:
        """A field that is text; `default` where it is missing or something else."""
        value = self.fields.get(field, default)
        return value if isinstance(value, str) else default

    def items(self, field: str) -> Iterator[Entry]:
        """The objects of a list."""
        for index, item in enumerate(_list(self.fields.get(field))):
            if isinstance(item, dict):
                yield Entry((*self.path, field, index), item, self.account)

    def texts(self, field: str) -> Iterator[tuple[Path, str]]:
        """The texts of a list, each with its path."""
        for index, item in enumerate(_list(self.fields.get(field))):
            if isinstance(item, str):
                yield (*self.path, field, index), item

    def documents(self, field: str = "Policies") -> Iterator[tuple[Path, str, Any]]:
        """The policies of an object by their names: path, name, document."""
        policies = self.fields.get(field)
        for name, document in (policies if isinstance(policies, dict) else {}).items():
            yield (*self.path, field, name), name, document


def accounts(document: object) -> Iterator[Entry]:
    """The accounts in the order of the file."""
    world = Entry((), document if isinstance(document, dict) else {})
    for entry in world.items("Accounts"):
        yield Entry(entry.path, entry.fields, entry.text("Id"))


def entries(document: object, field: str) -> Iterator[Entry]:
    """All `Users`, `Roles`, … of all accounts."""
    for account in accounts(document):
        yield from account.items(field)


def user_arn(user: Entry) -> str:
    """The ARN of an entry of `Users`."""
    return arn.user(user.account, user.text("Path", "/"), user.text("UserName"))


def role_arn(role: Entry) -> str:
    """The ARN of an entry of `Roles`."""
    return arn.role(role.account, role.text("Path", "/"), role.text("RoleName"))


def policy_arn(policy: Entry) -> str:
    """The ARN of an entry of `ManagedPolicies`."""
    return arn.managed_policy(policy.account, policy.text("Path", "/"), policy.text("PolicyName"))


def tag_pairs(entry: Entry) -> list[tuple[str, str]]:
    """The tags of an entry, given as an object or as the API's list."""
    found = entry.fields.get("Tags")
    if isinstance(found, dict):
        pairs = list(found.items())
    else:
        pairs = [(tag.fields.get("Key"), tag.fields.get("Value")) for tag in entry.items("Tags")]
    return [(key, value) for key, value in pairs if isinstance(key, str) and isinstance(value, str)]


def profile_name(account: Entry, name: str) -> str:
    """`<alias>-<name>`; the account id stands in for a missing alias (contract 3)."""
    return f"{account.text('Alias') or account.account}-{name}"


def has_keys(user: Entry) -> bool:
    """Whether the user will have an access key: one is generated where `AccessKeys` is absent."""
    return "AccessKeys" not in user.fields or bool(user.fields["AccessKeys"])


def active_keys(user: Entry) -> list[Entry]:
    """The access keys in the file that may be used."""
    return [key for key in user.items("AccessKeys") if key.text("Status", "Active") == "Active"]


def administrator(document: object) -> Entry | None:
    """The user of the `admin` profile, None where it has to be added.

    It is the first user marked `Administrator: true`. Others may be marked as well: they have its rights, not its
    profile. Where nobody is marked, it is the first account's user `admin` if AdministratorAccess is attached to it.
    """
    marked = (user for user in entries(document, "Users") if user.fields.get("Administrator") is True)
    found = next(marked, None)
    if found is None:
        existing = unmarked_admin(document)
        if existing is not None and "Administrator" not in existing.fields and _is_administrator(existing):
            found = existing
    return found


def unmarked_admin(document: object) -> Entry | None:
    """The user of the first account that has the name of the user to be added; names differ beyond case."""
    for account in accounts(document):
        return next((user for user in account.items("Users") if user.text("UserName").lower() == ADMIN), None)
    return None


def policy_document(value: object) -> dict[str, Any]:
    """A valid policy document as an object, whichever way it is given."""
    document = json.loads(value) if isinstance(value, str) else value
    return document if isinstance(document, dict) else {}


def _is_administrator(user: Entry) -> bool:
    return any(attached == ADMINISTRATOR_ACCESS_ARN for _, attached in user.texts("AttachedPolicies"))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
