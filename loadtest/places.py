"""Where load goes and as whom: read from the data directory of a cluster or of one node (contract 3).

`cluster.json` names the places of clients and their URLs; a node's directory has none, so its own URL stands for one
place. A profile of `config` that assumes a role without MFA, one with an external id if there is any, says
which role is assumed and whose keys sign.
"""

from __future__ import annotations

import configparser
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

GLOBAL_REGION = "us-east-1"
"""The region that requests to the global endpoint are signed for (spec 5.1)."""


class DataDirError(Exception):
    """A data directory that load cannot use; the text says what is missing and how to mend it."""


@dataclass(frozen=True, slots=True)
class Key:
    """A credential that requests are signed with."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RoleProfile:
    """A role that load assumes, and the key of the user who may."""

    role_arn: str
    external_id: str
    key: Key


@dataclass(frozen=True, slots=True)
class Place:
    """A place of clients: the URLs there behave as seen from there, latency included."""

    name: str
    region: str
    global_url: str
    regional: Mapping[str, str]


def read_places(data_dir: Path) -> list[Place]:
    """The places of a running cluster. Raises DataDirError."""
    try:
        document = json.loads((data_dir / "cluster.json").read_text())
        return [
            Place(name, place["region"], place["global"], place["regional"])
            for name, place in document["locations"].items()
        ]
    except FileNotFoundError as error:
        raise DataDirError(f"{data_dir}: no cluster.json: start one with `python -m cluster up`") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataDirError(f"{data_dir}/cluster.json: cannot be used: {error!r}") from error


def read_role(data_dir: Path) -> RoleProfile:
    """A role profile that can be used without MFA, with an external id if possible. Raises DataDirError."""
    usable = read_roles(data_dir)
    return next((role for role in usable if role.external_id), usable[0])


def read_roles(data_dir: Path) -> list[RoleProfile]:
    """Every role profile that can be used without MFA, at least one. Raises DataDirError."""
    config, credentials = _read(data_dir / "config"), _read(data_dir / "credentials")
    usable = [
        RoleProfile(profile["role_arn"], profile.get("external_id", ""), _key(credentials[profile["source_profile"]]))
        for profile in (config[section] for section in config.sections())
        if "role_arn" in profile
        and "mfa_serial" not in profile
        and credentials.has_section(profile.get("source_profile", ""))
    ]
    if not usable:
        raise DataDirError(f"{data_dir}/config: no profile assumes a role without MFA: use the default world")
    return usable


def read_key(data_dir: Path, profile: str) -> Key:
    """The key of a profile of `credentials`. Raises DataDirError."""
    credentials = _read(data_dir / "credentials")
    if not credentials.has_section(profile):
        raise DataDirError(f"{data_dir}/credentials: has no profile {profile}")
    return _key(credentials[profile])


def read_keys(data_dir: Path) -> list[Key]:
    """Every key of `credentials`, once. Raises DataDirError."""
    credentials = _read(data_dir / "credentials")
    keys = (_key(credentials[section]) for section in credentials.sections())
    return list({key.access_key_id: key for key in keys}.values())


def _read(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(default_section="")
    try:
        parser.read_string(path.read_text())
    except (OSError, configparser.Error) as error:
        raise DataDirError(f"{path}: cannot be read: {error}") from error
    return parser


def _key(profile: configparser.SectionProxy) -> Key:
    return Key(profile["aws_access_key_id"], profile["aws_secret_access_key"], profile.get("aws_session_token"))
