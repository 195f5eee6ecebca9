"""Worlds with tags, MFA devices, identity providers, root keys and regions (contract 5)."""

from __future__ import annotations

from base64 import b32decode

import pytest

from stsd import world as worlds
from tests.oidc.issuing import trust
from tests.saml import idp
from tests.world.worlds import ACME, GLOBEX, Entropy, account, key, role, role_world, user, user_world, world

SERIAL = f"arn:aws:iam::{ACME}:mfa/bob"
OIDC = {"Url": "https://idp.example.com/realms/a", "ClientIDList": ["app"]}
SAML = {"Name": "corp", "SAMLMetadataDocument": idp.metadata()}


def faults(document):
    return [str(fault) for fault in worlds.check(document)]


def issuers(*urls, private=True):
    providers = [{**OIDC, "Url": url, "AllowPrivateAddress": private} for url in urls]
    return world(account(OpenIDConnectProviders=providers))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (user_world(Tags={"a" * 129: "x"}), "is no tag key"),
        (user_world(Tags={"aws:x": "x"}), "is no tag key"),
        (user_world(Tags={"a": "x" * 257}), "is no tag value"),
        (user_world(Tags=[{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]), "is there more than once"),
        (user_world(Tags={str(n): "" for n in range(51)}), "holds 51 tags (allowed: at most 50)"),
        (role_world(Tags=[{"Key": "a"}]), "Tags"),
        (user_world(MFADevices=[{"SerialNumber": "short"}]), "is no serial number"),
        (user_world(MFADevices=[{"SerialNumber": SERIAL.replace(ACME, GLOBEX)}]), "is no device of this account"),
        (user_world(MFADevices=[{"SerialNumber": SERIAL.replace("mfa", "user")}]), "is no device of this account"),
        (user_world(MFADevices=[{"SerialNumber": SERIAL.replace("bob", "")}]), "is no device of this account"),
        (
            world(account(RootMFADevices=[{"SerialNumber": SERIAL.replace(ACME, GLOBEX)}])),
            "RootMFADevices[0].SerialNumber",
        ),
        (user_world(MFADevices=[{"SerialNumber": SERIAL, "Base32StringSeed": "1"}]), "is no seed"),
        (user_world(MFADevices=[{"SerialNumber": SERIAL}, {"SerialNumber": SERIAL}]), "is already taken by"),
        (world(account(OpenIDConnectProviders=[{**OIDC, "Url": "http://idp.example.com"}])), "is no issuer"),
        (world(account(OpenIDConnectProviders=[{**OIDC, "Url": "https://a/?b"}])), "is no issuer"),
        (issuers("https://idp.example.com:8443", private=False), "is no issuer (allowed: https://host/path"),
        *(
            (issuers(url), "is no issuer (allowed: http:// or https://host:port/path")
            for url in (
                "https://a b",
                "https://idp/a b",
                "https://idp/\n",
                "https://idp/\x00",
                "https://idp?",
                "https://idp/?",
                "https://idp#",
                "https://idp/#",
                "https://idp/*",
                "https://idp/%zz",
                "https://idp/ä",
                "https://ïdp",
                "https://ann@idp",
                "https://",
                "https:///a",
                "https://idp:0",
                "https://idp:65536",
                "https://idp:",
                "https://[::zz]",
                "https://.",
                "HTTPS://idp",
                "ftp://idp",
                "idp",
                " https://idp",
                "https://idp\\a",
                "https://idp/" + "a" * 244,
            )
        ),
        (world(account(OpenIDConnectProviders=[{**OIDC, "ClientIDList": []}])), "holds 0 client ids"),
        (world(account(OpenIDConnectProviders=[{**OIDC, "ThumbprintList": ["xx"]}])), "is no thumbprint"),
        (world(account(OpenIDConnectProviders=[{**OIDC, "ThumbprintList": ["a" * 40] * 6}])), "holds 6 thumbprints"),
        (world(account(OpenIDConnectProviders=[{**OIDC, "Jwks": {"key": []}}])), "is no JWK Set"),
        (world(account(OpenIDConnectProviders=[{**OIDC, "Jwks": {"keys": []}}])), "has no usable key"),
        (issuers("https://idp.example.com/a", "https://idp.example.com/a"), "is already taken by"),
        (issuers("http://idp.example.com", "https://idp.example.com"), "is already taken by"),
        (issuers("https://idp.example.com/a", "https://IDP.example.com/a"), "is already taken by"),
        (world(account(SAMLProviders=[{**SAML, "Name": "a b"}])), "is no name of a provider"),
        (world(account(SAMLProviders=[SAML, SAML])), "is already taken by"),
        (world(account(EnabledRegions=["eu-west-1"])), "is no opt-in region"),
        (world(account(GlobalEndpointTokenVersion="v3Token")), "is none of the values (allowed: v1Token, v2Token)"),
        (world(account(RootAccessKeys=[key("AKIA7777777777777777")])), "RootAccessKeys[0].AccessKeyId"),
    ],
)
def test_a_fault_tells_what_is_wrong(document, said):
    found = faults(document)
    assert len(found) == 1, found
    assert said in found[0]


@pytest.mark.parametrize(
    "urls",
    [
        ("https://idp.example.com/A", "https://idp.example.com/a"),
        ("https://idp.example.com", "https://idp.example.com/"),
        ("http://localhost:8001", "http://localhost:8002"),
    ],
)
def test_issuers_are_one_only_where_their_arn_is(urls):
    document = issuers(*urls)
    assert not faults(document)
    found = worlds.directory(worlds.materialise(document, Entropy())).oidc_providers
    assert sorted(provider.url for provider in found.values()) == sorted(urls)


@pytest.mark.parametrize(
    "url",
    [
        "https://idp/" + "a" * 243, "https://[::1]:8443/a", "http://my_idp", "https://idp/a%20b/~c;d=e@f:g,(h)!$&'+",
        "https://a-b.example.com/", "http://127.0.0.1:65535",
    ],
)  # fmt: skip
def test_what_an_issuer_may_look_like(url):
    assert not faults(issuers(url))


def test_serial_numbers_of_virtual_devices_have_paths_and_others_are_no_arns():
    serials = ("GAHT12345678", f"arn:aws:iam::{ACME}:mfa/team/a/bob", f"arn:aws:iam::{ACME}:mfa/b+o=b,.@_-")
    assert not faults(user_world(MFADevices=[{"SerialNumber": serial} for serial in serials]))


def test_every_provider_that_is_not_at_fault_is_in_the_directory():
    apart = world(account(OpenIDConnectProviders=[OIDC]), account(GLOBEX, OpenIDConnectProviders=[OIDC]))
    assert not faults(apart)
    assert len(worlds.directory(worlds.materialise(apart, Entropy())).oidc_providers) == 2


@pytest.mark.parametrize(
    ("host", "mend"),
    [
        ("accounts.google.com", "list https://accounts.google.com in OpenIDConnectProviders of this account"),
        ("cognito-identity.amazonaws.com", "list https://cognito-identity.amazonaws.com in OpenIDConnectProviders"),
        ("www.amazon.com", "nobody asks www.amazon.com about access tokens"),
        ("graph.facebook.com", "nobody asks graph.facebook.com about access tokens"),
    ],
)
def test_a_trust_policy_names_no_host_whose_tokens_are_never_good(host, mend):
    trusting = role(AssumeRolePolicyDocument=trust(federated=host))
    listed = [{**OIDC, "Url": f"https://{host}"}]
    elsewhere = account(GLOBEX, OpenIDConnectProviders=listed)
    [fault] = faults(world(account(Roles=[trusting]), elsewhere))
    assert fault.startswith("Accounts[0].Roles[0].AssumeRolePolicyDocument: Invalid principal in policy:")
    assert f'"FEDERATED":"{host}" ({mend}' in fault
    known = faults(world(account(Roles=[trusting], OpenIDConnectProviders=listed)))
    assert bool(known) is mend.startswith("nobody")


@pytest.mark.parametrize("service", ["nonsense", "", "IAM.amazonaws.com", "sso.amazonaws.com"])
def test_an_administrator_is_delegated_for_a_service_that_is_there(service):
    def delegated(to):
        administrators = [{"Account": GLOBEX, "Service": to}]
        organization = {"ManagementAccount": ACME, "DelegatedAdministrators": administrators}
        return {**world(account(), account(GLOBEX)), "Organization": organization}

    assert not faults(delegated("iam.amazonaws.com"))
    place = "Organization.DelegatedAdministrators[0].Service"
    said = "is no service that has administrators here (allowed: iam.amazonaws.com)"
    assert faults(delegated(service)) == [f"{place}: {service!r} {said}"]


def test_a_seed_is_never_shown():
    assert "MZXW6" not in " ".join(
        faults(user_world(MFADevices=[{"SerialNumber": SERIAL, "Base32StringSeed": ["MZXW6"]}]))
    )


def test_seeds_are_made_once_and_given_ones_stay():
    given = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    devices = [{"SerialNumber": SERIAL}, {"SerialNumber": SERIAL + "2", "Base32StringSeed": given}]
    document = world(
        account(
            Users=[user(MFADevices=devices)],
            RootMFADevices=[{"SerialNumber": f"arn:aws:iam::{ACME}:mfa/root-account-mfa-device"}],
        )
    )
    filled = worlds.materialise(document, Entropy())
    assert worlds.materialise(filled, Entropy("other")) == filled
    found = worlds.directory(filled)
    made, kept = found.users[f"arn:aws:iam::{ACME}:user/bob"].mfa_devices
    assert len(made.seed) == 40
    assert kept.seed == b32decode(given)
    assert found.root_users[ACME].mfa_devices[0].seed != made.seed
    assert given not in repr(found)


def test_the_directory_knows_providers_root_users_and_what_accounts_enable():
    document = world(
        account(
            OpenIDConnectProviders=[OIDC],
            SAMLProviders=[SAML],
            RootAccessKeys=[key()],
            EnabledRegions=["af-south-1"],
            GlobalEndpointTokenVersion="v2Token",
            OutboundWebIdentityFederation=True,
            Roles=[role(ConfirmationKey=True, Tags={"a": "b"})],
        )
    )
    found = worlds.directory(worlds.materialise(document, Entropy()))
    oidc = found.oidc_providers[f"arn:aws:iam::{ACME}:oidc-provider/idp.example.com/realms/a"]
    assert (oidc.url, oidc.identity, oidc.client_ids) == (OIDC["Url"], "idp.example.com/realms/a", ("app",))
    assert found.saml_providers[f"arn:aws:iam::{ACME}:saml-provider/corp"].metadata == SAML["SAMLMetadataDocument"]
    assert found.access_keys[key()["AccessKeyId"]].user is found.root_users[ACME]
    acme = found.accounts[ACME]
    assert (acme.enabled_regions, acme.global_token_version) == (frozenset({"af-south-1"}), 2)
    assert acme.token_issuer is not None
    assert found.issuer(acme.token_issuer.id) is acme.token_issuer
    assert "PRIVATE KEY" not in repr(found)
    assert found.roles[f"arn:aws:iam::{ACME}:role/deploy"].confirmation_key
    plain = worlds.directory(worlds.materialise(world(account()), Entropy())).accounts[ACME]
    assert (plain.global_token_version, plain.token_issuer) == (1, None)
