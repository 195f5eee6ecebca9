"""Identity providers as the tests make them: keys, JWK Sets and ID tokens, good ones and forged ones."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from functools import cache
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from tests.world.worlds import ACME

NOW = 1_795_435_200
ISSUER = "https://ci.example.com/builds"
IDENTITY = ISSUER.removeprefix("https://")
PROVIDER = f"arn:aws:iam::{ACME}:oidc-provider/{IDENTITY}"
CLIENT = "sts.amazonaws.com"
SUBJECT = "repo:acme/anvils:ref:refs/heads/main"


@cache
def rsa(name: str = "a") -> RSAKey:
    """The RSA key of this name, made once a run."""
    return RSAKey.generate_key(2048, auto_kid=False)


@cache
def ec(curve: str = "P-256", name: str = "a") -> ECKey:
    """The EC key of this name, made once a run."""
    return ECKey.generate_key(curve, auto_kid=False)


def jwk(key: RSAKey | ECKey, kid: str | None = "k1", **more: Any) -> dict[str, Any]:
    """A public key as a provider publishes it."""
    return {**key.as_dict(private=False), **({"kid": kid} if kid else {}), **more}


def jwks(*keys: dict[str, Any]) -> dict[str, Any]:
    return {"keys": list(keys)}


def claims(**changed: Any) -> dict[str, Any]:
    """Good claims, some of them changed; `...` leaves one out."""
    good = {"iss": ISSUER, "sub": SUBJECT, "aud": CLIENT, "iat": NOW, "exp": NOW + 300} | changed
    return {name: value for name, value in good.items() if value is not ...}


def encoded(content: Any) -> str:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return urlsafe_b64encode(text).rstrip(b"=").decode()


def signed(
    payload: dict[str, Any] | bytes, key: RSAKey | ECKey | None = None, algorithm: str = "RS256", **header: Any
) -> str:
    """A token; `header` members that are None are left out."""
    head = {"alg": algorithm, "kid": "k1", "typ": "JWT"} | header
    start = f"{encoded({name: value for name, value in head.items() if value is not None})}.{encoded(payload)}"
    model = jws.JWSRegistry(algorithms=[algorithm]).get_alg(algorithm)
    return f"{start}.{encoded(model.sign(start.encode(), key or rsa()))}"


def token(**changed: Any) -> str:
    """A good token, with some claims changed."""
    return signed(claims(**changed))


def trust(*actions: str, federated: str = PROVIDER, condition: dict[str, Any] | None = None) -> dict[str, Any]:
    """A trust policy for holders of ID tokens."""
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Federated": federated},
        "Action": ["sts:AssumeRoleWithWebIdentity", *actions],
    }
    if condition is not None:
        statement["Condition"] = condition
    return {"Version": "2012-10-17", "Statement": [statement]}


def provider(url: str = ISSUER, **more: Any) -> dict[str, Any]:
    """A provider of a world."""
    return {"Url": url, "ClientIDList": [CLIENT, "other-client"], **more}
