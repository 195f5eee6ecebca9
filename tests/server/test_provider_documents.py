"""Fetching keys from providers that are good, slow, big, elsewhere, private or not who they say they are."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from stsd.oidc.known_keys import Source
from stsd.server import provider_documents
from stsd.server.provider_documents import Documents, FetchError
from tests.oidc.issuing import jwk, jwks, rsa
from tests.server.identity_providers import CONFIGURATION, Names, Provider, hang, serving

HOST = "idp.example.com"
DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM


def private(url: str, *thumbprints: str) -> Source:
    return Source(url, True, thumbprints)


async def failure(documents: Documents, source: Source) -> tuple[str, str]:
    with pytest.raises(FetchError) as raised:
        await documents.fetch(source)
    return raised.value.failure, str(raised.value)


async def test_keys_are_found_through_the_metadata():
    async with serving() as provider:
        provider.headers = {"Cache-Control": "max-age=7200"}
        fetched = await Documents().fetch(private(provider.url))
    assert list(fetched.keys.usable()) == ["k1"]
    assert fetched.fresh_s == 7200
    assert [path for path, _ in provider.asked] == [CONFIGURATION, "/keys"]


async def test_an_issuer_with_a_path():
    async with serving() as provider:
        provider.url += "/tenant"
        provider.instead[f"/tenant{CONFIGURATION}"] = _configuration(provider)
        assert list((await Documents().fetch(private(provider.url))).keys.usable()) == ["k1"]


@pytest.mark.parametrize("path", [CONFIGURATION, "/keys"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(path, status):
    async with serving() as provider, serving() as elsewhere:

        async def redirect(_: web.BaseRequest) -> web.StreamResponse:
            return web.Response(status=status, headers={"Location": f"{elsewhere.url}{path}"})

        provider.instead[path] = redirect
        kind, detail = await failure(Documents(), private(provider.url))
        assert kind == "unreachable"
        assert f"status {status}" in detail
        assert elsewhere.asked == []


@pytest.mark.parametrize("status", [204, 404, 500])
async def test_other_answers_are_none(status):
    async with serving() as provider:

        async def fail(_: web.BaseRequest) -> web.StreamResponse:
            return web.Response(status=status)

        provider.instead[CONFIGURATION] = fail
        assert (await failure(Documents(), private(provider.url)))[0] == "unreachable"


@pytest.mark.parametrize("path", [CONFIGURATION, "/keys"])
async def test_a_document_is_read_up_to_the_limit_only(path):
    async with serving() as provider:

        async def endless(request: web.BaseRequest) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            while True:
                await response.write(b" " * 65_536)

        provider.instead[path] = endless
        kind, detail = await failure(Documents(), private(provider.url))
    assert (kind, "524288 bytes" in detail) == ("content", True)


async def test_compressed_documents_are_not_unpacked():
    async with serving() as provider:

        async def compressed(_: web.BaseRequest) -> web.StreamResponse:
            response = web.json_response(provider.configuration())
            response.enable_compression(web.ContentCoding.gzip)
            response.headers["Content-Encoding"] = "gzip"
            return response

        provider.instead[CONFIGURATION] = compressed
        kind, detail = await failure(Documents(), private(provider.url))
    assert (kind, "compressed" in detail) == ("content", True)


@pytest.mark.parametrize("path", [CONFIGURATION, "/keys"])
@pytest.mark.parametrize("manner", ["silent", "drop by drop"])
async def test_a_slow_provider_has_so_many_seconds_for_all_of_it(path, manner, monkeypatch):
    monkeypatch.setattr(provider_documents, "FETCH_TIMEOUT_S", 0.2)
    async with serving() as provider:

        async def drops(request: web.BaseRequest) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            while True:
                await response.write(b" ")
                await asyncio.sleep(0.01)

        provider.instead[path] = hang if manner == "silent" else drops
        assert await failure(Documents(), private(provider.url)) == ("unreachable", "no whole answer within 0.2 s")


async def test_nobody_listens():
    async with serving() as provider:
        pass
    assert (await failure(Documents(), private(provider.url)))[0] == "unreachable"


@pytest.mark.parametrize("content", [b"", b"<html/>", b"[]", b'{"keys": 1}'])
async def test_keys_that_are_none(content):
    async with serving() as provider:

        async def nonsense(_: web.BaseRequest) -> web.StreamResponse:
            return web.Response(body=content)

        provider.instead["/keys"] = nonsense
        assert (await failure(Documents(), private(provider.url)))[0] == "content"


async def test_a_huge_set_of_keys_within_the_limit_costs_no_key_that_is_not_asked_for():
    async with serving() as provider:
        provider.keys = jwks(*({"kty": "EC", "kid": f"k{n}", "crv": "P-256"} for n in range(8_000)), jwk(rsa(), "last"))
        keys = (await Documents().fetch(private(provider.url))).keys
        assert keys.find("last")


# Addresses.


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:1",
        "https://[::1]:1",
        "https://169.254.169.254",
        "https://10.0.0.1",
        "https://[fd00:ec2::254]",
        "https://127。0｡0。1:1",  # full stops of other scripts, which the client takes for dots
        "https://１２７.0.0.1:1",
    ],
)
async def test_private_addresses_in_the_url_itself(url):
    kind, detail = await failure(Documents(), Source(url, False, ()))
    assert (kind, "no public address" in detail) == ("unreachable", True)


@pytest.mark.parametrize("name", ["localhost", "127.1", "0x7f000001", "2130706433"])
async def test_names_and_spellings_that_lead_to_private_addresses(name):
    kind, detail = await failure(Documents(resolver=Names("127.0.0.1")), Source(f"https://{name}", False, ()))
    assert (kind, "no public address" in detail) == ("unreachable", True)


async def test_keys_elsewhere_are_held_to_the_same_addresses(authority):
    """A provider of the internet that names a private address for its keys is used by nobody to reach that."""
    async with serving(name=HOST, tls=authority.serving(HOST)) as provider, serving() as inside:
        provider.metadata["jwks_uri"] = inside.url.replace("http://127.0.0.1", "https://127.0.0.2")
        documents = authority.documents(lambda address: address == "127.0.0.1", "127.0.0.1")
        kind, detail = await failure(documents, Source(provider.url, False, ()))
        assert (kind, "127.0.0.2 is no public address" in detail) == ("unreachable", True)
        assert inside.asked == []


async def test_a_name_that_changes_its_address_leads_nowhere_else(authority):
    """Rebinding: of each look-up the very address that was judged is the one that is connected to."""
    async with serving(host="0.0.0.0", name=HOST, tls=authority.serving(HOST)) as provider:
        documents = authority.documents(lambda address: address == "127.0.0.1", "127.0.0.1", "127.0.0.2")
        kind, detail = await failure(documents, Source(provider.url, False, ()))
        assert (kind, "no public address" in detail) == ("unreachable", True)
        assert {address for _, address in provider.asked} == {"127.0.0.1"}
        documents = authority.documents(lambda address: address == "127.0.0.2", "127.0.0.1", "127.0.0.2")
        provider.asked.clear()
        assert (await failure(documents, Source(provider.url, False, ())))[0] == "unreachable"
        assert provider.asked == []


async def test_no_provider_of_the_internet_is_asked_without_tls():
    async with serving() as provider:
        documents = Documents(is_public=lambda _: True)
        kind, detail = await failure(documents, Source(provider.url, False, ()))
        assert (kind, "no https URL" in detail) == ("content", True)
        assert provider.asked == []


# Certificates.


class Authority:
    """A certificate authority with an intermediate, and servers that have certificates of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root_key, self.key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        self.root = _certificate("root", self.root_key, "root", self.root_key, authority=True)
        self.intermediate = _certificate("intermediate", self.key, "root", self.root_key, authority=True)

    def serving(self, host: str, *, sends: list[x509.Certificate] | None = None) -> ssl.SSLContext:
        """The context of a server of `host`; it sends the intermediate certificate behind its own."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _certificate(host, key, "intermediate", self.key)
        return self._context(key, [leaf, *([self.intermediate] if sends is None else sends)])

    def impostor(self, host: str) -> ssl.SSLContext:
        """A server with a certificate of its own making that sends ours behind it."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self._context(key, [_certificate(host, key, "intermediate", key), self.intermediate])

    def trust(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.root.public_bytes(DER))
        return context

    def documents(self, is_public, *addresses: str) -> Documents:
        """A fetcher that trusts this authority and takes these addresses for the internet's."""
        names = Names(*addresses)
        return Documents(is_public=is_public, resolver=names, trust=self.trust)

    def _context(self, key: ec.EllipticCurvePrivateKey, chain: list[x509.Certificate]) -> ssl.SSLContext:
        file = self.folder / f"{x509.random_serial_number()}.pem"
        pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        file.write_bytes(key.private_bytes(PEM, pkcs8, plain) + b"".join(c.public_bytes(PEM) for c in chain))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _certificate(subject: str, key, issuer: str, issuer_key, *, authority: bool = False) -> x509.Certificate:
    name, by = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (subject, issuer))
    now = datetime.now(UTC)
    serial, day = x509.random_serial_number(), timedelta(days=1)
    builder = x509.CertificateBuilder(by, name, key.public_key(), serial, now - day, now + day)
    builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    if not authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def thumbprint(certificate: x509.Certificate) -> str:
    return sha1(certificate.public_bytes(DER)).hexdigest()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def anywhere(address: str) -> bool:
    return True


def no_trust() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def pinned(names: Names | None = None) -> Documents:
    """A fetcher that trusts no authority."""
    return Documents(is_public=anywhere, resolver=names or Names("127.0.0.1"), trust=no_trust)


async def test_a_certificate_of_an_authority_needs_no_thumbprint(authority):
    async with serving(name=HOST, tls=authority.serving(HOST)) as provider:
        documents = authority.documents(anywhere, "127.0.0.1")
        for thumbprints in ((), ("0" * 40,)):
            assert (await documents.fetch(Source(provider.url, False, thumbprints))).keys


async def test_a_certificate_that_nobody_vouches_for(authority):
    async with serving(name=HOST, tls=authority.serving(HOST)) as provider:
        for thumbprints in ((), ("0" * 40,)):
            kind, detail = await failure(pinned(), Source(provider.url, False, thumbprints))
            assert (kind, "not trusted" in detail) == ("thumbprint", True)
        assert provider.asked == []


async def test_the_thumbprint_of_the_intermediate(authority):
    async with serving(name=HOST, tls=authority.serving(HOST)) as provider:
        source = Source(provider.url, False, ("0" * 40, thumbprint(authority.intermediate)))
        assert (await pinned().fetch(source)).keys


async def test_a_thumbprint_does_not_vouch_for_a_chain_that_does_not_hold(authority):
    """Anybody can send a certificate along whose thumbprint is known."""
    source_of = thumbprint(authority.intermediate)
    async with serving(name=HOST, tls=authority.impostor(HOST)) as provider:
        assert (await failure(pinned(), Source(provider.url, False, (source_of,))))[0] != "content"
        assert provider.asked == []


async def test_a_thumbprint_does_not_vouch_for_another_name(authority):
    async with serving(name=HOST, tls=authority.serving("evil.example.com")) as provider:
        await failure(pinned(), Source(provider.url, False, (thumbprint(authority.intermediate),)))
        await failure(authority.documents(anywhere, "127.0.0.1"), Source(provider.url, False, ()))
        assert provider.asked == []


async def test_the_chain_is_looked_at_on_allowed_addresses_only(authority):
    async with serving(host="0.0.0.0", name=HOST, tls=authority.serving(HOST)) as provider:
        names = Names("127.0.0.1", "127.0.0.2")
        documents = Documents(is_public=lambda a: a == "127.0.0.1", resolver=names, trust=no_trust)
        source = Source(provider.url, False, (thumbprint(authority.intermediate),))
        kind, detail = await failure(documents, source)
        assert (kind, "no public address" in detail) == ("unreachable", True)
        assert provider.asked == []


def _configuration(provider: Provider):
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.json_response(provider.configuration())

    return answer
