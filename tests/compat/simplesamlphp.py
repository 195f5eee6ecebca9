"""SimpleSAMLphp as Debian packages it, with a configuration of its own, on PHP's built-in server; and a login there."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.running import free_base_port, self_signed_certificate, wait_for

INSTALLED = Path("/usr/share/simplesamlphp")
PASSWORD = "wonder land"
ENTITY_ID = "https://idp.example.com/metadata"
SERVICE = "urn:amazon:webservices"
RECIPIENT = "https://signin.aws.amazon.com/saml"

CONFIG = r"""<?php
$config = [
  'baseurlpath' => '%(url)s/', 'certdir' => '%(folder)s/', 'loggingdir' => '%(folder)s/', 'datadir' => '%(folder)s/',
  'tempdir' => '%(folder)s', 'metadatadir' => '%(folder)s/',
  'attributenamemapdir' => '/etc/simplesamlphp/attributemap/', 'metadata.sources' => [['type' => 'flatfile']],
  'secretsalt' => 'salt of a test', 'auth.adminpassword' => 'nobody administers this', 'timezone' => 'UTC',
  'logging.handler' => 'file', 'logging.level' => SimpleSAML\Logger::WARNING, 'enable.saml20-idp' => true,
  'module.enable' => ['exampleauth' => true, 'core' => true, 'saml' => true],
  'session.cookie.secure' => false, 'session.cookie.samesite' => null, 'store.type' => 'phpsession',
  'session.phpsession.savepath' => '%(folder)s', 'production' => false,
];
"""
USERS = """<?php
$config = ['users' => ['exampleauth:UserPass', 'alice:%(password)s' => [%(attributes)s]]];
"""
IDENTITY_PROVIDER = """<?php
$metadata['%(entity_id)s'] = [
  'host' => '__DEFAULT__', 'privatekey' => 'key.pem', 'certificate' => 'cert.pem', 'auth' => 'users',
  'signature.algorithm' => 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
];
"""
SERVICE_PROVIDERS = """<?php
$metadata['%(service)s'] = [
  'AssertionConsumerService' => '%(recipient)s', 'saml20.sign.assertion' => true, 'saml20.sign.response' => true,
];
$metadata['%(service)s:unsigned-response'] = [
  'AssertionConsumerService' => '%(recipient)s', 'saml20.sign.assertion' => true, 'saml20.sign.response' => false,
];
$metadata['%(service)s:unsigned-assertion'] = [
  'AssertionConsumerService' => '%(recipient)s', 'saml20.sign.assertion' => false, 'saml20.sign.response' => true,
];
$metadata['%(service)s:encrypted'] = [
  'AssertionConsumerService' => '%(recipient)s', 'saml20.sign.assertion' => true, 'assertion.encryption' => true,
  'certificate' => 'cert.pem',
];
"""


@dataclass
class SimpleSAMLphp:
    """A running identity provider."""

    url: str

    def metadata(self) -> str:
        """What an administrator would download."""
        return requests.get(f"{self.url}/saml2/idp/metadata.php", timeout=20).text

    def login(self, service: str = SERVICE) -> str:
        """Sign in as alice in a browser's steps; the SAMLResponse that the browser would post."""
        with requests.Session() as browser:
            asked = {"spentityid": service}
            form = browser.get(f"{self.url}/saml2/idp/SSOService.php", params=asked, timeout=20)
            state = re.search(r'name="AuthState" value="([^"]+)"', form.text)
            assert state is not None, form.text
            filled = {"username": "alice", "password": PASSWORD, "AuthState": html.unescape(state[1])}
            answer = browser.post(form.url.partition("?")[0], filled, timeout=20)
            found = re.search(r'name="SAMLResponse" value="([^"]+)"', answer.text)
            assert found is not None, answer.text
            return html.unescape(found[1])


@contextmanager
def running(folder: Path, attributes: dict[str, list[str]]) -> Iterator[SimpleSAMLphp]:
    """The identity provider with one user, alice, who has these attributes; skips where it is not installed."""
    needed = {"php": shutil.which("php"), "simplesamlphp": INSTALLED.exists()}
    missing = [name for name, there in needed.items() if not there]
    if missing:
        reason = f"{' and '.join(missing)} is not installed (Debian: php-cli php-xml php-mbstring simplesamlphp)"
        if os.environ.get("STSD_REQUIRE_ALL"):
            pytest.fail(f"STSD_REQUIRE_ALL is set and {reason}")
        pytest.skip(reason)
    port = free_base_port(1)
    url = f"http://127.0.0.1:{port}"
    values = ", ".join(f"'{name}' => [{', '.join(map(repr, found))}]" for name, found in attributes.items())
    fields = {
        "url": url, "folder": folder, "password": PASSWORD, "attributes": values, "entity_id": ENTITY_ID,
        "service": SERVICE, "recipient": RECIPIENT,
    }  # fmt: skip
    for name, template in (
        ("config.php", CONFIG),
        ("authsources.php", USERS),
        ("saml20-idp-hosted.php", IDENTITY_PROVIDER),
        ("saml20-sp-remote.php", SERVICE_PROVIDERS),
    ):
        (folder / name).write_text(template % fields)
    self_signed_certificate(folder, rsa_key=True)
    command = ["php", "-S", f"127.0.0.1:{port}", "-t", str(INSTALLED / "www")]
    environment = os.environ | {"SIMPLESAMLPHP_CONFIG_DIR": str(folder)}
    with (folder / "php.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        started = SimpleSAMLphp(url)
        wait_for(lambda: "EntityDescriptor" in started.metadata(), "the identity provider's start")
        yield started
    finally:
        process.terminate()
        process.wait(timeout=10)
