"""Small worlds for the tests: what a test does not care about is left out."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

ACME = "111122223333"
GLOBEX = "444455556666"
ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"
KEY_OF_ACME = "AKIARTX3GSDSQAAAAAAA"


class Entropy:
    """Reproducible bytes: the same seed gives the same sequence."""

    def __init__(self, seed: str = "") -> None:
        self.seed, self.calls = seed, 0

    def __call__(self, n: int) -> bytes:
        self.calls += 1
        return sha256(f"{self.seed}/{self.calls}".encode()).digest().ljust(n, b".")[:n]


def allow(action: str = "sts:AssumeRole", resource: str = "*") -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]}


def deny(action: str = "sts:AssumeRole", resource: str = "*") -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": action, "Resource": resource}]}


def trust(principal: str, **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": principal}, **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


def role(name: str = "deploy", principal: str = ACME, **more: Any) -> dict[str, Any]:
    return {"RoleName": name, "AssumeRolePolicyDocument": trust(principal), **more}


def user(name: str = "bob", **more: Any) -> dict[str, Any]:
    return {"UserName": name, **more}


def key(access_key_id: str = KEY_OF_ACME, **more: Any) -> dict[str, Any]:
    return {"AccessKeyId": access_key_id, "SecretAccessKey": "x" * 40, **more}


def account(account_id: str = ACME, **more: Any) -> dict[str, Any]:
    return {"Id": account_id, **more}


def world(*accounts: dict[str, Any]) -> dict[str, Any]:
    return {"Accounts": list(accounts)}


def user_world(**fields: Any) -> dict[str, Any]:
    """An account with one user."""
    return world(account(Users=[user(**fields)]))


def role_world(**fields: Any) -> dict[str, Any]:
    """An account with one role."""
    return world(account(Roles=[role(**fields)]))
