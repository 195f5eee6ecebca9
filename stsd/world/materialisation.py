"""What a world leaves open is filled once: unique ids, access keys, seeds of MFA devices, and an administrator where
none is marked.

The result is a world again, JSON-able and complete; filling it a second time changes nothing.
"""

from __future__ import annotations

import json
from base64 import b32encode, b64encode
from collections.abc import Callable
from itertools import chain
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from stsd import key_ids
from stsd.directory import ADMINISTRATOR_ACCESS_ARN
from stsd.world.entries import ADMIN, TOKEN_ISSUER, Entry, accounts, administrator, entries

SECRET_BYTES = 30
"""Entropy of a secret access key: its 40 characters of base64 are the alphabet of spec 2.7.1."""
MFA_SEED_BYTES = 40
"""64 characters of base32, as AWS hands out (spec 3.2.9)."""
RSA_BITS = 2048
_PEM = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
_ATTEMPTS = 8


def fill(document: dict[str, Any], entropy: Callable[[int], bytes]) -> dict[str, Any]:
    """A complete copy of a valid document; `entropy(n)` gives n random bytes. What is given stays as it is.

    Raises ValueError when `entropy` repeats itself, because ids could not be told apart.
    """
    # Through JSON, so that parts which a YAML alias shares become separate.
    world: dict[str, Any] = json.loads(json.dumps(document))
    _mark_administrator(world)
    fresh = _FreshIds(world, entropy)
    for user in entries(world, "Users"):
        if "UserId" not in user.fields:
            user.fields["UserId"] = fresh.unique_id("AIDA", user.account)
        if "AccessKeys" not in user.fields:
            user.fields["AccessKeys"] = [fresh.access_key(user.account)]
    for role in entries(world, "Roles"):
        if "RoleId" not in role.fields:
            role.fields["RoleId"] = fresh.unique_id("AROA", role.account)
    for owner, field in chain(
        ((user, "MFADevices") for user in entries(world, "Users")),
        ((account, "RootMFADevices") for account in accounts(world)),
    ):
        for device in owner.items(field):
            device.fields.setdefault("Base32StringSeed", b32encode(entropy(MFA_SEED_BYTES)).decode("ascii"))
    for account in accounts(world):
        if account.fields.get("OutboundWebIdentityFederation") and TOKEN_ISSUER not in account.fields:
            account.fields[TOKEN_ISSUER] = _token_issuer(entropy)
    return world


def _token_issuer(entropy: Callable[[int], bytes]) -> dict[str, str]:
    """Fresh keys. Those come from the operating system's entropy: no library makes RSA keys from given bytes."""
    rsa_key = rsa.generate_private_key(65537, RSA_BITS).private_bytes(*_PEM)
    ec_key = ec.generate_private_key(ec.SECP384R1()).private_bytes(*_PEM)
    id_ = str(UUID(bytes=entropy(16), version=4))
    return {"Id": id_, "RsaKey": rsa_key.decode("ascii"), "EcKey": ec_key.decode("ascii")}


def _mark_administrator(world: dict[str, Any]) -> None:
    found = administrator(world)
    if found is not None:
        found.fields["Administrator"] = True
        return
    users = world["Accounts"][0].setdefault("Users", [])
    users.append({"UserName": ADMIN, "Administrator": True, "AttachedPolicies": [ADMINISTRATOR_ACCESS_ARN]})


class _FreshIds:
    """Ids that nothing in the world has yet."""

    def __init__(self, world: dict[str, Any], entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        found = chain(entries(world, "Users"), entries(world, "Roles"), accounts(world))
        self._taken = {id_ for entry in found for id_ in _ids(entry)}

    def unique_id(self, prefix: str, account: str) -> str:
        return self._new(lambda: key_ids.new_unique_id(prefix, account, self._entropy))

    def access_key(self, account: str) -> dict[str, str]:
        return {
            "AccessKeyId": self._new(lambda: key_ids.new_access_key_id("AKIA", account, self._entropy)),
            "SecretAccessKey": b64encode(self._entropy(SECRET_BYTES)).decode("ascii"),
            "Status": "Active",
        }

    def _new(self, make: Callable[[], str]) -> str:
        for _ in range(_ATTEMPTS):
            made = make()
            if made not in self._taken:
                self._taken.add(made)
                return made
        raise ValueError("the entropy given repeats itself: no fresh id can be made")


def _ids(entry: Entry) -> list[str]:
    found = chain(entry.items("AccessKeys"), entry.items("RootAccessKeys"))
    keys = [key.text("AccessKeyId") for key in found]
    return [entry.text("UserId"), entry.text("RoleId"), *keys]
