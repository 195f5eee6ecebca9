"""The story of the default world, told by what its people may and may not do."""

import pytest
from botocore import configloader

from stsd import arn
from stsd.authz.evaluate import decide_trust
from stsd.principal import Principal
from stsd.world import check, default_text, directory, load, materialise, profiles
from tests.world.worlds import ACME, GLOBEX, Entropy

WORLD = materialise(load(default_text(), "default.yaml"), Entropy())
DIRECTORY = directory(WORLD)


def role(account: str, name: str):
    return DIRECTORY.roles[arn.role(account, "/", name)]


def person(account: str, name: str) -> tuple[Principal, tuple]:
    user = DIRECTORY.users[arn.user(account, "/", name)]
    return user.principal, user.policies


def session(account: str, name: str) -> tuple[Principal, tuple]:
    held = role(account, name)
    session_arn = arn.assumed_role(account, name, "s")
    user_id = f"{held.role_id}:s"
    return Principal("assumed_role", account, session_arn, user_id, held.arn, held.role_id, name), held.policies


def may_assume(caller: tuple[Principal, tuple], target, external_id: str | None = None, mfa: bool = False) -> bool:
    principal, policies = caller
    context = {
        "aws:principalarn": principal.policy_arn,
        "aws:principalaccount": principal.account,
        "aws:userid": principal.user_id,
    }
    if external_id:
        context["sts:externalid"] = external_id
    if mfa:
        context |= {"aws:multifactorauthpresent": "true", "aws:multifactorauthage": "0"}
    return decide_trust(
        principal, "sts:AssumeRole", target.arn, target.account, target.trust, context, policies, None
    ).allowed


def test_the_default_world_has_no_faults():
    assert check(load(default_text(), "default.yaml")) == []


def test_alice_is_the_administrator():
    assert [user.name for user in DIRECTORY.users.values() if user.administrator] == ["alice"]


@pytest.mark.parametrize(("name", "allowed"), [("bob", True), ("alice", True), ("carol", False), ("dave", False)])
def test_developers_may_deploy(name, allowed):
    assert may_assume(person(ACME, name), role(ACME, "deploy")) is allowed


@pytest.mark.parametrize(("name", "allowed"), [("dave", True), ("bob", False), ("alice", False)])
def test_only_dave_is_on_call(name, allowed):
    assert may_assume(person(ACME, name), role(ACME, "on-call")) is allowed


@pytest.mark.parametrize(
    ("name", "mfa", "allowed"), [("frank", True, True), ("frank", False, False), ("bob", True, False)]
)
def test_only_frank_pays_the_wages_and_only_with_a_code(name, mfa, allowed):
    assert may_assume(person(ACME, name), role(ACME, "payroll"), mfa=mfa) is allowed


def test_incident_response_is_reached_by_chaining_only():
    target = role(ACME, "incident-response")
    assert may_assume(session(ACME, "on-call"), target)
    assert not may_assume(session(ACME, "deploy"), target)
    assert not any(may_assume((user.principal, user.policies), target) for user in DIRECTORY.users.values())


@pytest.mark.parametrize(
    ("caller", "external_id", "allowed"),
    [
        (person(ACME, "carol"), "globex-books-2026", True),
        (person(ACME, "carol"), "somebody-else", False),
        (person(ACME, "carol"), None, False),
        (person(ACME, "bob"), "globex-books-2026", False),
        (person(GLOBEX, "erin"), "globex-books-2026", False),
    ],
)
def test_globex_lets_acme_audit_with_the_external_id(caller, external_id, allowed):
    assert may_assume(caller, role(GLOBEX, "vendor-audit"), external_id) is allowed


@pytest.mark.parametrize(
    ("subject", "audience", "allowed"),
    [
        ("repo:acme/anvils:ref:refs/heads/main", "sts.amazonaws.com", True),
        ("repo:acme/anvils:ref:refs/heads/experiment", "sts.amazonaws.com", False),
        ("repo:globex/anvils:ref:refs/heads/main", "sts.amazonaws.com", False),
        ("repo:acme/anvils:ref:refs/heads/main", "another", False),
    ],
)
def test_only_jobs_of_the_main_branch_publish(subject, audience, allowed):
    target = role(ACME, "publish")
    (provider,) = DIRECTORY.oidc_providers.values()
    job = Principal("federated", ACME, provider.arn, provider.arn, "", "", "")
    context = {"localhost:8799:aud": audience, "localhost:8799:sub": subject}
    action = "sts:AssumeRoleWithWebIdentity"
    decision = decide_trust(job, action, target.arn, target.account, target.trust, context, (), None)
    assert decision.allowed is allowed
    assert not may_assume(person(ACME, "alice"), target)


def test_every_role_that_people_reach_has_a_profile_that_works(tmp_path):
    _, text = profiles.render(WORLD, endpoints={"global": "http://127.0.0.1:1"}, regions=())
    (tmp_path / "config").write_text(text)
    found = configloader.load_config(str(tmp_path / "config"))["profiles"]
    role_profiles = {name: profile for name, profile in found.items() if "role_arn" in profile}
    assert set(role_profiles) == {
        "acme-deploy", "acme-on-call", "acme-incident-response", "acme-payroll", "globex-vendor-audit",
    }  # fmt: skip
    assert role_profiles["acme-payroll"]["mfa_serial"] == f"arn:aws:iam::{ACME}:mfa/frank"
    callers = {
        f"{DIRECTORY.accounts[u.account].alias}-{u.name}": (u.principal, u.policies) for u in DIRECTORY.users.values()
    }
    callers |= {name: session(ACME, name.removeprefix("acme-")) for name in role_profiles if name.startswith("acme-")}
    for profile in role_profiles.values():
        target = DIRECTORY.roles[profile["role_arn"]]
        assert may_assume(
            callers[profile["source_profile"]], target, profile.get("external_id"), "mfa_serial" in profile
        )
