"""The build service of the default world: an OpenID Connect issuer on this machine, to try web identities with (I/O).

    python -m cluster.ci_issuer [--port 8799]

As build services do, it publishes its metadata and its keys, and gives a job an ID token that says which repository
and branch the job is of: `GET /token?sub=SUBJECT&audience=AUDIENCE`. Whoever is here gets any token, so trust
it with nothing but a laboratory. Its key is made at every start and never leaves the process.
"""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import click
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import RSAKey

PORT = 8799
SUBJECT = "repo:acme/anvils:ref:refs/heads/main"
AUDIENCE = "sts.amazonaws.com"
TOKEN_S = 300


class CiIssuer:
    """The issuer at `url`, with a key of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._key = RSAKey.generate_key(2048, auto_kid=True)

    def application(self) -> web.Application:
        """What it serves."""
        application = web.Application()
        application.router.add_get("/.well-known/openid-configuration", self._configuration)
        application.router.add_get("/keys", self._keys)
        application.router.add_get("/token", self._token)
        return application

    def token(self, subject: str, audience: str, now: int) -> str:
        """An ID token of TOKEN_S seconds from `now` (Unix seconds)."""
        claims = {
            "iss": self._url, "sub": subject, "aud": audience, "iat": now, "nbf": now, "exp": now + TOKEN_S,
            "jti": str(uuid4()),
        }  # fmt: skip
        return jwt.encode({"alg": "RS256", "kid": self._key.kid, "typ": "JWT"}, claims, self._key)

    async def _configuration(self, _: web.Request) -> web.Response:
        content: dict[str, Any] = {
            "issuer": self._url,
            "jwks_uri": f"{self._url}/keys",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        return web.json_response(content)

    async def _keys(self, _: web.Request) -> web.Response:
        key = {**self._key.as_dict(private=False), "kid": self._key.kid, "use": "sig"}
        return web.json_response({"keys": [key]}, headers={"Cache-Control": "max-age=300"})

    async def _token(self, request: web.Request) -> web.Response:
        subject, audience = request.query.get("sub", SUBJECT), request.query.get("audience", AUDIENCE)
        return web.Response(text=self.token(subject, audience, int(time.time())))


@click.command(epilog='Example: curl "http://localhost:8799/token?sub=repo:acme/anvils:ref:refs/heads/main"')
@click.option("--port", default=PORT, show_default=True, help="Port on localhost; the default world knows this one.")
def main(port: int) -> None:
    """Serve ID tokens of the default world's build service until Ctrl-C."""
    issuer = CiIssuer(f"http://localhost:{port}")
    web.run_app(issuer.application(), host="localhost", port=port, print=None)


if __name__ == "__main__":
    main()
