"""What the claims of a verified ID token give to a session: subject, tags, source identity, roles and condition keys
(spec 3.4.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from stsd import tags as tag_rules
from stsd.directory import OpenIDConnectProvider
from stsd.errors import InternalFailure, InvalidIdentityToken
from stsd.oidc.token import NOT_VALID, IdToken

NAMESPACE = "https://aws.amazon.com/"
TAGS, SOURCE_IDENTITY, ROLES = f"{NAMESPACE}tags", f"{NAMESPACE}source_identity", f"{NAMESPACE}roles"
PRINCIPAL_TAG, TRANSITIVE = f"{TAGS}/principal_tags/", f"{TAGS}/transitive_tag_keys"
PROVIDER_CLAIMS = {
    "accounts.google.com": ("email",),
    "token.actions.githubusercontent.com": (
        "actor", "actor_id", "enterprise_id", "environment", "job_workflow_ref", "ref", "repository", "repository_id",
        "workflow",
    ),
}  # fmt: skip
"""Claims of shared providers that are condition keys beside those of every provider, by the provider's identity."""
PERSISTING = ("sub", "aud", "amr")
"""The claims whose condition keys the session keeps."""
_SOURCE_IDENTITY = re.compile(r"[\w+=,.@-]{2,256}", re.ASCII)

Keys = tuple[tuple[str, str | tuple[str, ...]], ...]


@dataclass(slots=True)
class Claims:
    """`roles` are the ARNs of roles that the provider allows, None where it does not say; `keys` are the condition
    keys, in lower case, `persisting` those that the session keeps."""

    subject: str
    tags: tuple[tuple[str, str], ...]
    transitive: tuple[str, ...]
    source_identity: str
    roles: tuple[str, ...] | None
    keys: Keys
    persisting: Keys


def read(token: IdToken, provider: OpenIDConnectProvider) -> Claims:
    """The claims of a token of `provider` whose signature holds. Raises InvalidIdentityToken; InternalFailure for a
    subject that is null, as AWS does."""
    tags, transitive = _tags(token.claims)
    subject = _subject(token.claims["sub"])
    keys = _condition_keys(token, subject, provider)
    prefix = provider.identity.lower()
    return Claims(
        subject,
        tags,
        transitive,
        _source_identity(token.claims.get(SOURCE_IDENTITY)),
        _roles(token.claims.get(ROLES)),
        tuple((f"{prefix}:{name}", value) for name, value in keys.items()),
        tuple((f"{prefix}:{name}", keys[name]) for name in PERSISTING if name in keys),
    )


def _subject(told: object) -> str:
    if told is None:
        raise InternalFailure("Unknown error validating third-party token", reason="token_null_subject")
    if isinstance(told, bool) or not isinstance(told, str | int | float):
        raise InvalidIdentityToken(NOT_VALID, reason="token_claim_type")
    return str(told)


def _condition_keys(token: IdToken, subject: str, provider: OpenIDConnectProvider) -> dict[str, str | tuple[str, ...]]:
    keys: dict[str, str | tuple[str, ...]] = {"aud": token.audience, "sub": subject}
    if token.authorized_party is not None:
        keys["oaud"] = token.audiences[0] if len(token.audiences) == 1 else token.audiences
    for name in ("amr", *PROVIDER_CLAIMS.get(provider.identity, ())):
        value = token.claims.get(name)
        if isinstance(value, list):
            keys[name] = tuple(entry for entry in value if isinstance(entry, str))
        elif isinstance(value, str):
            keys[name] = (value,) if name == "amr" else value
    return keys


def _tags(claims: dict[str, Any]) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Tags of both forms; each value of the nested one is the only element of an array."""
    nested = claims.get(TAGS, {})
    if not isinstance(nested, dict) or not isinstance(nested.get("principal_tags", {}), dict):
        raise _bad_tags()
    found: list[tuple[str, object]] = []
    for key, value in nested.get("principal_tags", {}).items():
        if not isinstance(value, list) or len(value) != 1:
            raise _bad_tags()
        found.append((key, value[0]))
    found += [(name[len(PRINCIPAL_TAG) :], claims[name]) for name in claims if name.startswith(PRINCIPAL_TAG)]
    transitive = [*_texts(nested.get("transitive_tag_keys", [])), *_texts(claims.get(TRANSITIVE, []))]
    tags = [(key, value) for key, value in found if isinstance(value, str) and _is_tag(key, value)]
    if len(tags) != len(found) or len(tags) > tag_rules.MAX_TAGS:
        raise _bad_tags()
    return tuple(tags), tuple(transitive)


def _is_tag(key: str, value: str) -> bool:
    return bool(
        len(key) <= tag_rules.MAX_KEY
        and len(value) <= tag_rules.MAX_VALUE
        and tag_rules.KEY_CHARACTERS.fullmatch(key)
        and tag_rules.VALUE_CHARACTERS.fullmatch(value)
    )


def _texts(told: object) -> list[str]:
    if not isinstance(told, list) or not all(isinstance(entry, str) for entry in told):
        raise _bad_tags()
    return told


def _bad_tags() -> InvalidIdentityToken:
    return InvalidIdentityToken("principal_tags passed in claim is not in correct format.", reason="token_tags")


def _source_identity(told: object) -> str:
    if told is None:
        return ""
    if not isinstance(told, str) or not _SOURCE_IDENTITY.fullmatch(told):
        raise InvalidIdentityToken(
            'Source Identity must match [a-zA-Z_0-9+=,.@-]{2,256} and not begin with "aws:"',
            reason="token_source_identity",
        )
    return told


def _roles(told: object) -> tuple[str, ...] | None:
    """Role ARNs, as an array or joined by semicolons; what is neither allows no role."""
    if told is None:
        return None
    entries = told.split(";") if isinstance(told, str) else told if isinstance(told, list) else []
    return tuple(entry.strip() for entry in entries if isinstance(entry, str))
