"""Amazon Resource Names: `arn:partition:service:region:account:resource`."""

from __future__ import annotations

from typing import NamedTuple


class Arn(NamedTuple):
    """The six components; the sixth takes the rest, colons included (spec 4.5)."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    def __str__(self) -> str:
        return ":".join(("arn", *self))


def parse(text: str) -> Arn:
    """Split an ARN. Raises ValueError unless it has a partition, a service and a resource (spec 1.6)."""
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or not (parts[1] and parts[2] and parts[5]):
        raise ValueError(f"{text} is invalid")
    return Arn(*parts[1:])


def user(account: str, path: str, name: str) -> str:
    """`arn:aws:iam::A:user/path/name` (spec 2.7.3)."""
    return f"arn:aws:iam::{account}:user{path}{name}"


def role(account: str, path: str, name: str) -> str:
    """`arn:aws:iam::A:role/path/name`, the form of `aws:PrincipalArn` (spec 4.7)."""
    return f"arn:aws:iam::{account}:role{path}{name}"


def assumed_role(account: str, role_name: str, session_name: str) -> str:
    """`arn:aws:sts::A:assumed-role/Role/Session`; the role's path is dropped (spec 2.7.3)."""
    return f"arn:aws:sts::{account}:assumed-role/{role_name}/{session_name}"


def federated_user(account: str, name: str) -> str:
    """`arn:aws:sts::A:federated-user/Name` (spec 2.7.3)."""
    return f"arn:aws:sts::{account}:federated-user/{name}"


def saml_provider(account: str, name: str) -> str:
    """`arn:aws:iam::A:saml-provider/Name` (spec 4.3)."""
    return f"arn:aws:iam::{account}:saml-provider/{name}"


def oidc_provider(account: str, url: str) -> str:
    """`arn:aws:iam::A:oidc-provider/host/path`: the issuer's URL without its scheme (spec 3.4.1)."""
    return f"arn:aws:iam::{account}:oidc-provider/{url.partition('://')[2]}"


def root(account: str) -> str:
    """`arn:aws:iam::A:root`, the root user and, in a policy, the account (spec 4.3)."""
    return f"arn:aws:iam::{account}:root"


def managed_policy(account: str, path: str, name: str) -> str:
    """`arn:aws:iam::A:policy/path/name`; account `aws` for AWS managed policies."""
    return f"arn:aws:iam::{account}:policy{path}{name}"
