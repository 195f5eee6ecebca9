"""Names, paths, ids and access keys of a world: spec 7.3, 2.7.1 and 2.7.2, each once where it has to be.

Each rule is a function that yields faults; `rules.py` lists them. A rule passes over what has not the right form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime

from stsd import key_ids
from stsd.world.entries import NAME_FIELDS, Entry, accounts, entries
from stsd.world.faults import Fault, Path, shown

# Spec 7.3; \w is ASCII there.
_NAME = re.compile(r"[\w+=,.@-]+", re.ASCII)
_NAME_LENGTHS = {"Users": 64, "Roles": 64, "Groups": 128, "ManagedPolicies": 128}
_POLICY_NAME_LENGTH = 128
_PATH = re.compile(r"/|/[!-~]+/")
_PATH_LENGTH = 512
_ALIAS = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(-[a-z0-9]+)*")
_DESCRIPTION_LENGTH = 1000

_UNIQUE_ID = re.compile(r"[A-Z0-9]{16,128}")
_SECRET = re.compile(r"[!-~]+")
_TEMPORARY_PREFIX = "ASIA"
_ACCOUNT_ID = re.compile(r"[0-9]{12}")


def aliases(document: object) -> Iterator[Fault]:
    """Aliases by spec 7.3; each alias and each account id once."""
    for account in accounts(document):
        alias = account.text("Alias")
        if "Alias" in account.fields and isinstance(account.fields["Alias"], str) and not _ALIAS.fullmatch(alias):
            allowed = "(allowed: 3 to 63 lower-case letters, digits and single hyphens between them)"
            yield Fault((*account.path, "Alias"), f"{shown(alias, ())} is not an account alias {allowed}")
    yield from unique(accounts(document), "Alias")
    yield from unique(accounts(document), "Id")


def names(document: object) -> Iterator[Fault]:
    """Names, paths and descriptions by spec 7.3; names are unique in their account beyond case."""
    for account in accounts(document):
        for kind, field in NAME_FIELDS.items():
            found = list(account.items(kind))
            for entry in found:
                yield from _name((*entry.path, field), entry.fields.get(field), _NAME_LENGTHS[kind])
                yield from _path(entry)
                yield from _description(entry)
            yield from unique(iter(found), field)


def inline_policy_names(document: object) -> Iterator[Fault]:
    """Names of inline policies by spec 7.3."""
    for kind in ("Groups", "Users", "Roles"):
        for entry in entries(document, kind):
            for path, name, _ in entry.documents():
                yield from _name(path, name, _POLICY_NAME_LENGTH)


def unique_ids(document: object) -> Iterator[Fault]:
    """Given ids of users and roles: their prefix (spec 2.7.1), and each once in the world."""
    for kind, field, prefix in (("Users", "UserId", "AIDA"), ("Roles", "RoleId", "AROA")):
        for entry in entries(document, kind):
            value = entry.text(field)
            if field in entry.fields and not (value.startswith(prefix) and _UNIQUE_ID.fullmatch(value)):
                allowed = f"(allowed: {prefix}, then 12 to 124 of the characters A-Z and 0-9)"
                yield Fault((*entry.path, field), f"{shown(value, ())} is not a unique id {allowed}")
        yield from unique(entries(document, kind), field)


def access_keys(document: object) -> Iterator[Fault]:
    """Given access keys: an id that carries its account or is of the old form (contract 5), a usable secret."""
    for owner, key in _keys(document):
        yield from _access_key_id(owner, key)
        if key.text("SecretAccessKey") and not _SECRET.fullmatch(key.text("SecretAccessKey")):
            allowed = "(allowed: visible ASCII characters without spaces)"
            yield Fault((*key.path, "SecretAccessKey"), f"does not fit into a credentials file {allowed}")
        if key.text("CreateDate") and not _is_date(key.text("CreateDate")):
            value = shown(key.text("CreateDate"), ())
            yield Fault((*key.path, "CreateDate"), f"{value} is not a date (allowed: ISO 8601)")
    yield from unique((key for _, key in _keys(document)), "AccessKeyId")


def _keys(document: object) -> Iterator[tuple[Entry, Entry]]:
    """Every access key with the user or the account that it belongs to."""
    for user in entries(document, "Users"):
        for key in user.items("AccessKeys"):
            yield user, key
    for account in accounts(document):
        for key in account.items("RootAccessKeys"):
            yield account, key


def unique(found: Iterator[Entry], field: str, same: Callable[[str], str] = str.lower) -> Iterator[Fault]:
    """The same value in two entries, beyond case or by what `same` makes of it; the second one is at fault."""
    first: dict[str, Entry] = {}
    for entry in found:
        value = same(entry.text(field))
        earlier = first.setdefault(value, entry)
        if value and earlier is not entry:
            place = Fault((*earlier.path, field), "").place
            yield Fault((*entry.path, field), f"{shown(entry.text(field), ())} is already taken by {place}")


def _name(path: Path, name: object, length: int) -> Iterator[Fault]:
    if isinstance(name, str) and not (_NAME.fullmatch(name) and len(name) <= length):
        yield Fault(path, f"{shown(name, ())} is not a name (allowed: 1 to {length} letters, digits and +=,.@_-)")


def _path(entry: Entry) -> Iterator[Fault]:
    path = entry.text("Path", "/")
    if not (_PATH.fullmatch(path) and len(path) <= _PATH_LENGTH):
        allowed = f"(allowed: / or /…/, at most {_PATH_LENGTH} visible ASCII characters)"
        yield Fault((*entry.path, "Path"), f"{shown(path, ())} is not a path {allowed}")


def _description(entry: Entry) -> Iterator[Fault]:
    length = len(entry.text("Description"))
    if length > _DESCRIPTION_LENGTH:
        yield Fault((*entry.path, "Description"), f"has {length} characters (allowed: at most {_DESCRIPTION_LENGTH})")


def _access_key_id(user: Entry, key: Entry) -> Iterator[Fault]:
    value, path = key.text("AccessKeyId"), (*key.path, "AccessKeyId")
    if value.startswith(_TEMPORARY_PREFIX):
        yield Fault(path, f"{shown(value, ())} is the id of temporary credentials (allowed: AKIA…)")
    elif _ACCOUNT_ID.fullmatch(user.account) and value and not _belongs(value, user.account):
        carried = key_ids.account_of(value)
        said = f"carries the account {carried}" if carried else "carries no account"
        allowed = f"(allowed: an id that carries {user.account}, or one whose fifth character is A to P)"
        yield Fault(path, f"{shown(value, ())} {said} {allowed}")


def _belongs(access_key_id: str, account: str) -> bool:
    return key_ids.is_old_form(access_key_id) or key_ids.account_of(access_key_id) == account


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
