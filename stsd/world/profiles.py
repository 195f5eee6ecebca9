"""The `credentials` and `config` files that AWS SDKs and the aws CLI read (contract 3).

| profile | who | endpoint |
|---|---|---|
| `admin` | the administrator | global |
| `admin@R` | the administrator | the regional endpoint of R |
| `<alias>-<user>` | each user with access keys | global |
| `<alias>-<role>` | each role that one of these profiles may assume | global |

Secrets are in the credentials file alone. `endpoint_url` makes SDKs come here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stsd.world.build import build
from stsd.world.entries import (
    ADMIN,
    Entry,
    accounts,
    active_keys,
    administrator,
    profile_name,
    role_arn,
    user_arn,
)
from stsd.world.sources import Source, sources

GLOBAL = "global"
GLOBAL_REGION = "us-east-1"
"""The region that requests to the global endpoint are signed for (spec 5.1)."""
_HEADER = "# Written by stsd at every start; keep profiles of your own in another file.\n\n"

_Section = tuple[str, dict[str, str]]


def render(
    world: Mapping[str, Any],
    *,
    endpoints: Mapping[str, str],
    regions: Sequence[str],
    global_region: str = GLOBAL_REGION,
) -> tuple[str, str]:
    """The texts of the credentials and the config file of a materialised world.

    `endpoints` maps `global` and each of `regions` to a URL; `global_region` is what requests to `global` sign for.
    """
    everywhere = {"region": global_region, "endpoint_url": endpoints[GLOBAL]}
    places = {ADMIN: everywhere}
    places |= {f"{ADMIN}@{region}": {"region": region, "endpoint_url": endpoints[region]} for region in regions}
    users = _user_profiles(world)
    keys = {**dict.fromkeys(places, _administrator(world)), **users}
    credentials = [(name, _credentials(user)) for name, user in keys.items()]
    config = [(f"profile {name}", places.get(name, everywhere)) for name in keys]
    config += [(f"profile {name}", {**role, **everywhere}) for name, role in _role_profiles(world, users)]
    return _HEADER + _text(credentials), _HEADER + _text(config)


def _user_profiles(world: Mapping[str, Any]) -> dict[str, Entry]:
    """Profile name → user, for every user with access keys."""
    return {
        profile_name(account, user.text("UserName")): user
        for account in accounts(world)
        for user in account.items("Users")
        if user.fields["AccessKeys"]
    }


def _administrator(world: Mapping[str, Any]) -> Entry:
    found = administrator(world)
    if found is None:
        raise ValueError("the world is not materialised: it has no administrator")
    return found


def _credentials(user: Entry) -> dict[str, str]:
    """The first key that may be used; a user whose keys are all inactive still has a profile, to see it refused."""
    key = (active_keys(user) or list(user.items("AccessKeys")))[0]
    return {
        "aws_access_key_id": key.text("AccessKeyId"),
        "aws_secret_access_key": key.text("SecretAccessKey"),
    }


def _role_profiles(world: Mapping[str, Any], users: Mapping[str, Entry]) -> Iterator[_Section]:
    """Roles whose name is taken by another profile, or that no profile leads to, have none."""
    names = {
        role_arn(role): profile_name(account, role.text("RoleName"))
        for account in accounts(world)
        for role in account.items("Roles")
    }
    written = {user_arn(user): name for name, user in users.items()}
    for arn, source in sources(world, build(world)).items():
        name = names[arn]
        if name not in written.values() and source.arn in written:
            yield name, _role(arn, written[source.arn], source)
            written[arn] = name


def _role(arn: str, source_profile: str, source: Source) -> dict[str, str]:
    profile = {"role_arn": arn, "source_profile": source_profile}
    asked = {"external_id": source.external_id, "mfa_serial": source.mfa_serial}
    return profile | {name: value for name, value in asked.items() if value}


def _text(sections: Sequence[_Section]) -> str:
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items()) for name, values in sections
    )
