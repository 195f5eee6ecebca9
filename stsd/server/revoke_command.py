"""`stsd revoke`: the signed call of POST /v1/revocations with a profile's keys.

Profiles are read from the files that AWS SDKs use (AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE, AWS_PROFILE); keys in
the environment (AWS_ACCESS_KEY_ID, …) come first, as in the SDKs.
"""

from __future__ import annotations

import configparser
import os
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import orjson

from stsd.authn import sigv4
from stsd.config import ConfigError, is_url
from stsd.operations.v1.revoke import MAX_WAIT_S, MIN_WAIT_S, SUBJECTS

PATH = "/v1/revocations"
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Profile:
    """Keys, region and endpoint of one call."""

    access_key_id: str
    region: str
    endpoint_url: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False)


def run(
    subject: str,
    *,
    reason: str | None = None,
    wait: str | None = None,
    timeout_s: float | None = None,
    profile_name: str | None = None,
    endpoint_url: str | None = None,
) -> int:
    """Make the call and print the answer; who has not confirmed yet goes to standard error.

    Returns 1 when it was refused; raises ConfigError before it is made.
    """
    if timeout_s is not None and wait != "all":
        raise ConfigError("--timeout-s: goes with --wait all; without it nobody is waited for")
    if timeout_s is not None and not MIN_WAIT_S <= timeout_s <= MAX_WAIT_S:
        raise ConfigError(f"--timeout-s: {timeout_s:g} is not in {MIN_WAIT_S:g} to {MAX_WAIT_S:g} seconds")
    body = _body(subject, {"reason": reason, "wait": wait, "timeout_s": timeout_s})
    profile = _profile(profile_name, endpoint_url)
    url = profile.endpoint_url.rstrip("/") + PATH
    request = urllib.request.Request(url, body, _headers(profile, body), method="POST")  # noqa: S310 - the scheme is checked
    try:
        with _OPENER.open(request, timeout=TIMEOUT_S + (timeout_s or 0)) as answer:
            content = answer.read()
        told = _recorded(content)
        if told is not None:
            click.echo(content.decode())
            if lagging := told.get("lagging"):
                click.echo(f"stsd: revoked, but not confirmed yet by {', '.join(lagging)}", err=True)
            return 0
        click.echo(f"stsd: {url} answered, but not like a node: nothing is known to be revoked", err=True)
    except urllib.error.HTTPError as error:
        click.echo(f"stsd: {_refusal(error)}", err=True)
    except OSError as error:
        click.echo(f"stsd: {url} does not answer: {getattr(error, 'reason', error)}", err=True)
    except HTTPException as error:
        click.echo(f"stsd: {url} does not answer in HTTP: {type(error).__name__}", err=True)
    return 1


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Following one would take the signed headers, session token included, to somebody else as a GET."""

    def redirect_request(self, *arguments: Any) -> None:
        """Leave the redirect to be reported as the error that it is here."""


_OPENER = urllib.request.build_opener(_NoRedirects)


def _recorded(content: bytes) -> dict[str, Any] | None:
    """An answer that names a revocation (contract 6), None for any other."""
    try:
        told = orjson.loads(content)
    except ValueError:
        return None
    return told if isinstance(told, dict) and isinstance(told.get("id"), str) else None


def _body(subject: str, options: dict[str, str | float | None]) -> bytes:
    member, separator, value = subject.partition("=")
    if not separator or member not in SUBJECTS:
        raise ConfigError(f"{member!r} is not a subject; give MEMBER=VALUE with one of {', '.join(SUBJECTS)}")
    given = {name: option for name, option in options.items() if option is not None}
    try:
        return orjson.dumps({member: sys.stdin.read().strip() if value == "-" else value} | given)
    except (UnicodeError, TypeError):
        raise ConfigError(f"{member}: only text in UTF-8 can be sent") from None


def _headers(profile: Profile, body: bytes) -> dict[str, str]:
    headers = {"Host": urlsplit(profile.endpoint_url).netloc, "Content-Type": "application/json"}
    signed = sigv4.sign(
        "POST",
        PATH,
        "",
        headers,
        body,
        access_key_id=profile.access_key_id,
        secret_access_key=profile.secret_access_key,
        session_token=profile.session_token,
        region=profile.region,
        service="sts",
        amz_date=datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"),
    )
    return headers | signed


def _profile(name: str | None, endpoint_url: str | None) -> Profile:
    environment = name is None and "AWS_ACCESS_KEY_ID" in os.environ
    name = name or os.environ.get("AWS_PROFILE", "default")
    settings = _section("AWS_CONFIG_FILE", "~/.aws/config", "default" if name == "default" else f"profile {name}")
    keys = dict(settings) | _section("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", name)
    if environment:
        keys = {member.lower(): os.environ[member] for member in KEY_VARIABLES if member in os.environ}
    missing = [member for member in ("aws_access_key_id", "aws_secret_access_key") if member not in keys]
    if missing:
        raise ConfigError(f"--profile: {name} has no {missing[0]}; see AWS_SHARED_CREDENTIALS_FILE and AWS_PROFILE")
    url = endpoint_url or settings.get("endpoint_url") or os.environ.get("AWS_ENDPOINT_URL")
    if url is None or not is_url(url):
        raise ConfigError("--endpoint-url: give the URL of a node or router, or a profile with an endpoint_url")
    region = settings.get("region") or os.environ.get("AWS_REGION") or "us-east-1"
    return Profile(keys["aws_access_key_id"], region, url, keys["aws_secret_access_key"], keys.get("aws_session_token"))


KEY_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def _section(variable: str, default: str, section: str) -> dict[str, str]:
    path = Path(os.environ.get(variable, default)).expanduser()
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(), str(path))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise ConfigError(f"{variable}: {path} cannot be read: {str(error).splitlines()[0]}") from error
    return dict(parser[section]) if parser.has_section(section) else {}


def _refusal(error: urllib.error.HTTPError) -> str:
    try:
        told = orjson.loads(error.read())["error"]
        return f"{told['code']}: {told['message']}"
    except (ValueError, KeyError, TypeError):
        return f"HTTP {error.code}"
