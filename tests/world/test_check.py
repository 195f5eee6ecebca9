import json
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stsd.world import WorldError, check, materialise
from stsd.world.entries import NAME_FIELDS
from stsd.world.shape import LATER
from tests.world.worlds import (
    ACME,
    ADMINISTRATOR_ACCESS,
    GLOBEX,
    KEY_OF_ACME,
    Entropy,
    account,
    allow,
    key,
    role,
    role_world,
    trust,
    user,
    user_world,
    world,
)


def faults(document: object) -> list[str]:
    return [str(fault) for fault in check(document)]


def places(document: object) -> list[str]:
    return [fault.place for fault in check(document)]


def test_the_smallest_world_has_no_faults():
    assert faults(world(account())) == []


def test_a_fault_tells_the_place_what_is_wrong_and_what_is_allowed():
    document = world(account(Roles=[role("a"), role("b", MaxSessionDuration=100)]))
    assert faults(document) == [
        "Accounts[0].Roles[1].MaxSessionDuration: 100 is less than the minimum of 3600 (allowed: 3600 to 43200)"
    ]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "Accounts: is missing (required: Accounts)"),
        ({"Accounts": []}, "Accounts: is an empty list (allowed: at least 1)"),
        ({"Accounts": {}}, "Accounts: is an object; a list is expected"),
        ({"Accounts": None}, "Accounts: is empty; a list is expected"),
        ([], "world: is a list; an object is expected"),
        (world({}), "Accounts[0].Id: is missing (required: Id)"),
        (
            world(account(111122223333)),
            "Accounts[0].Id: 111122223333 is a number; text is expected: quote it (allowed: 12 digits)",
        ),
        (world(account("1111")), "Accounts[0].Id: '1111' does not fit (allowed: 12 digits)"),
        (world(account(ACME + "\n")), "Accounts[0].Id: '111122223333\\n' does not fit (allowed: 12 digits)"),
        (
            world(account(Alais="x")),
            "Accounts[0].Alais: is not a field here (allowed: Id, Alias, Email, EnabledRegions,"
            " GlobalEndpointTokenVersion, OutboundWebIdentityFederation, RootAccessKeys, RootMFADevices,"
            " ManagedPolicies, Groups, Users, Roles, OpenIDConnectProviders, SAMLProviders)",
        ),
        (
            role_world(MaxSessionDuration=43201),
            "Accounts[0].Roles[0].MaxSessionDuration: 43201 is greater than the maximum of 43200"
            " (allowed: 3600 to 43200)",
        ),
        (
            role_world(MaxSessionDuration="3600"),
            "Accounts[0].Roles[0].MaxSessionDuration: '3600' is text; a whole number is expected"
            " (allowed: 3600 to 43200)",
        ),
        (
            role_world(RequireFresh="yes"),
            "Accounts[0].Roles[0].RequireFresh: 'yes' is text; true or false is expected",
        ),
        (
            user_world(Administrator="yes"),
            "Accounts[0].Users[0].Administrator: 'yes' is text; true or false is expected",
        ),
        (
            user_world(AccessKeys=[key(Status="Expired")], Administrator=False),
            "Accounts[0].Users[0].AccessKeys[0].Status: 'Expired' is none of the values (allowed: Active, Inactive)",
        ),
        (
            world(account(Roles=[{"RoleName": "x", "AssumeRolePolicyDocument": 1}])),
            "Accounts[0].Roles[0].AssumeRolePolicyDocument: 1 is a number;"
            " a policy document is expected (object or JSON text)",
        ),
        ({"Accounts": [{1: 2}]}, "Accounts[0]: has the key 1, which is not text"),
        ({"Accounts": date(2026, 1, 1)}, "Accounts: is a date, which is neither JSON nor YAML"),
    ],
)
def test_faults_of_form(document, said):
    assert faults(document) == [said]


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind, fields in LATER.items() for field in fields])
def test_a_field_of_a_later_stage_is_refused_by_name_and_told_once(kind, field):
    items = {
        "Users": user(Administrator=True),
        "Roles": role(),
        "ManagedPolicies": {"PolicyName": "p", "Document": allow()},
    }
    document = world(account(**{kind: [item] for kind, item in items.items()}))
    if kind == "Organization":
        document[kind] = items[kind] = {"ManagementAccount": ACME}
    target = items[kind]
    target[field] = 17
    assert [fault.rsplit(".", 1)[-1] for fault in faults(document)] == [f"{field}: is not supported yet"]


def test_all_faults_are_told_at_once_sorted_by_place():
    roles = [role(f"r{n}", MaxSessionDuration=1 if n in (2, 10) else 3600) for n in range(11)]
    document = world(account(Roles=roles, Alias="X", Users=[user("a b")]), account("x"))
    assert places(document) == [
        "Accounts[0].Alias",
        "Accounts[0].Roles[2].MaxSessionDuration",
        "Accounts[0].Roles[10].MaxSessionDuration",
        "Accounts[0].Users[0].UserName",
        "Accounts[1].Id",
    ]


@pytest.mark.parametrize("alias", ["ab", "a" * 64, "Acme", "a--b", "-abc", "abc-", "a_b", "acme\n", ""])
def test_an_alias_outside_the_rules_is_a_fault(alias):
    assert places(world(account(Alias=alias))) == ["Accounts[0].Alias"]


@pytest.mark.parametrize("alias", ["abc", "a-b-c", "a" * 63, "1st"])
def test_an_alias_within_the_rules_is_none(alias):
    assert faults(world(account(Alias=alias))) == []


def test_ids_and_aliases_of_accounts_are_unique():
    document = world(account(Alias="acme"), account(Alias="acme"))
    assert faults(document) == [
        "Accounts[1].Alias: 'acme' is already taken by Accounts[0].Alias",
        "Accounts[1].Id: '111122223333' is already taken by Accounts[0].Id",
    ]


@pytest.mark.parametrize("kind", NAME_FIELDS)
@pytest.mark.parametrize("name", ["", "a b", "a/b", "é", "a\n", "a:b", "a" * 129])
def test_a_name_outside_the_rules_is_a_fault(kind, name):
    items = {
        "Users": user(name),
        "Roles": role(name),
        "Groups": {"GroupName": name},
        "ManagedPolicies": {"PolicyName": name, "Document": allow()},
    }
    assert places(world(account(**{kind: [items[kind]]}))) == [f"Accounts[0].{kind}[0].{NAME_FIELDS[kind]}"]


@pytest.mark.parametrize(("kind", "length"), [("Users", 64), ("Roles", 64), ("Groups", 128), ("ManagedPolicies", 128)])
def test_a_name_may_be_as_long_as_iam_allows(kind, length):
    for name, expected in (("+=,.@_-" + "a" * (length - 7), 0), ("a" * (length + 1), 1)):
        item = {NAME_FIELDS[kind]: name, "Document": allow(), "AssumeRolePolicyDocument": trust(ACME)}
        fields = {"Roles": ["AssumeRolePolicyDocument"], "ManagedPolicies": ["Document"]}.get(kind, [])
        kept = {field: item[field] for field in (NAME_FIELDS[kind], *fields)}
        assert len(faults(world(account(**{kind: [kept]})))) == expected


def test_names_differ_beyond_case_within_an_account_only():
    document = world(account(Users=[user("Bob"), user("bob")]), account(GLOBEX, Users=[user("bob")]))
    assert faults(document) == [
        "Accounts[0].Users[1].UserName: 'bob' is already taken by Accounts[0].Users[0].UserName"
    ]


@pytest.mark.parametrize("path", ["", "x", "/x", "x/", "/a b/", "/é/", "/\n/", "/" + "a" * 511 + "/", "//"])
def test_a_path_outside_the_rules_is_a_fault(path):
    expected = ["Accounts[0].Users[0].Path"]
    assert places(user_world(Path=path)) == expected


@pytest.mark.parametrize("path", ["/", "/a/", "/a/b/c/", "/" + "a" * 510 + "/"])
def test_a_path_within_the_rules_is_none(path):
    assert faults(user_world(Path=path)) == []


def test_a_description_is_at_most_a_thousand_characters():
    assert faults(role_world(Description="x" * 1000)) == []
    assert places(role_world(Description="x" * 1001)) == ["Accounts[0].Roles[0].Description"]


def test_the_name_of_an_inline_policy_is_a_name():
    assert places(user_world(Policies={"a b": allow()})) == ['Accounts[0].Users[0].Policies["a b"]']


@pytest.mark.parametrize(
    "user_id", ["AROARTX3GSDSQAAAAAAAA", "AIDA", "aidartx3gsdsqaaaaaaaa", "AIDA RTX3GSDSQAAAAAAA", ""]
)
def test_a_user_id_has_the_prefix_of_users(user_id):
    assert places(user_world(UserId=user_id)) == ["Accounts[0].Users[0].UserId"]


def test_unique_ids_are_unique_in_the_world():
    users = [[user("a", UserId="AIDACKCEVSQ6C2EXAMPLE")], [user("b", UserId="AIDACKCEVSQ6C2EXAMPLE")]]
    document = world(account(Users=users[0]), account(GLOBEX, Users=users[1]))
    assert places(document) == ["Accounts[1].Users[0].UserId"]


@pytest.mark.parametrize("key_id", [KEY_OF_ACME, "AKIAIOSFODNN7EXAMPLE", "AKIAJAAAAAAAAAAAAAAA"])
def test_an_access_key_id_carries_its_account_or_is_of_the_old_form(key_id):
    assert faults(user_world(AccessKeys=[key(key_id)])) == []


@pytest.mark.parametrize(
    ("key_id", "said"),
    [
        ("AKIA6RVFFB77QAAAAAAA", "carries the account 999999999999"),
        ("AKIA7777777777777777", "carries no account"),
        ("AKIARTX3GSDSQAAAAAAAA", "carries no account"),
        ("ASIARTX3GSDSQAAAAAAA", "is the id of temporary credentials"),
    ],
)
def test_an_access_key_id_of_another_account_is_a_fault(key_id, said):
    (fault,) = faults(user_world(AccessKeys=[key(key_id)]))
    assert fault.startswith(f"Accounts[0].Users[0].AccessKeys[0].AccessKeyId: '{key_id}' {said}")


def test_access_key_ids_are_unique_in_the_world():
    document = world(account(Users=[user("a", AccessKeys=[key()]), user("b", AccessKeys=[key()])]))
    assert places(document) == ["Accounts[0].Users[1].AccessKeys[0].AccessKeyId"]


@pytest.mark.parametrize("secret", ["two words", "line\nbreak", " x", "clé", 12345678, ""])
def test_a_secret_that_no_credentials_file_can_hold_is_a_fault_that_does_not_tell_it(secret):
    document = user_world(AccessKeys=[key() | {"SecretAccessKey": secret}])
    (fault,) = faults(document)
    assert fault.startswith("Accounts[0].Users[0].AccessKeys[0].SecretAccessKey: ")
    assert not secret or str(secret) not in fault


def test_the_create_date_of_a_key_is_a_date():
    assert faults(user_world(AccessKeys=[key(CreateDate="2026-01-01T00:00:00Z")])) == []
    assert places(user_world(AccessKeys=[key(CreateDate="last week")])) == [
        "Accounts[0].Users[0].AccessKeys[0].CreateDate"
    ]


def test_a_group_that_the_account_does_not_have_is_a_fault():
    document = world(
        account(Groups=[{"GroupName": "developers"}], Users=[user(Groups=["developers", "Developers"])]),
        account(GLOBEX, Users=[user(Groups=["developers"])]),
    )
    assert faults(document) == [
        "Accounts[0].Users[0].Groups[1]: 'Developers' is not a group of this account (known: developers)",
        "Accounts[1].Users[0].Groups[0]: 'developers' is not a group of this account (it has none)",
    ]


@pytest.mark.parametrize("kind", ["Groups", "Users", "Roles"])
def test_a_policy_of_another_account_cannot_be_attached(kind):
    own = f"arn:aws:iam::{ACME}:policy/x/p"
    items = {"Users": user(), "Roles": role(), "Groups": {"GroupName": "g"}}
    items[kind]["AttachedPolicies"] = [own, ADMINISTRATOR_ACCESS, f"arn:aws:iam::{GLOBEX}:policy/p", own.upper()]
    managed = {"PolicyName": "p", "Path": "/x/", "Document": allow()}
    document = world(account(ManagedPolicies=[managed], **{kind: [items[kind]]}), account(GLOBEX))
    assert places(document) == [f"Accounts[0].{kind}[0].AttachedPolicies[{index}]" for index in (2, 3)]


BAD_DOCUMENTS = ["", "{", "[]", {}, {"Version": "2012-10-17"}, {"Statement": {"Effect": "Maybe"}}, allow() | {"X": 1}]


@pytest.mark.parametrize("document", BAD_DOCUMENTS, ids=str)
def test_a_policy_that_does_not_compile_is_a_fault_in_the_words_of_the_policy_engine(document):
    assert places(user_world(Policies={"p": document})) == ["Accounts[0].Users[0].Policies.p"]
    assert places(role_world(AssumeRolePolicyDocument=document)) == ["Accounts[0].Roles[0].AssumeRolePolicyDocument"]
    managed = {"PolicyName": "p", "Document": document}
    assert places(world(account(ManagedPolicies=[managed]))) == ["Accounts[0].ManagedPolicies[0].Document"]
    group = {"GroupName": "g", "Policies": {"p": document}}
    assert places(world(account(Groups=[group]))) == ["Accounts[0].Groups[0].Policies.p"]


def test_the_fault_of_a_policy_tells_where_in_the_policy_it_is():
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Maybe", "Action": "*", "Resource": "*"}]}
    (fault,) = faults(user_world(Policies={"p": document}))
    assert fault.startswith("Accounts[0].Users[0].Policies.p: Syntax errors in policy. (Statement[0].Effect ")


def test_a_policy_may_be_given_as_json_text():
    assert faults(user_world(Policies={"p": json.dumps(allow())})) == []


def test_an_overlong_policy_is_refused_before_it_is_read():
    assert places(user_world(Policies={"p": "{" * 200_000})) == ["Accounts[0].Users[0].Policies.p"]


@pytest.mark.parametrize(
    "principal",
    [
        f"arn:aws:iam::{ACME}:user/none",
        f"arn:aws:iam::{ACME}:user/bob",
        f"arn:aws:iam::{ACME}:user/dev/BOB",
        f"arn:aws:iam::{ACME}:role/none",
        f"arn:aws:iam::{GLOBEX}:user/dev/bob",
        "arn:aws:iam::999999999999:role/elsewhere",
    ],
)
def test_a_trust_policy_that_names_nobody_is_a_fault(principal):
    document = world(account(Users=[user(Path="/dev/")], Roles=[role(principal=principal)]), account(GLOBEX))
    assert faults(document) == [
        f'Accounts[0].Roles[0].AssumeRolePolicyDocument: Invalid principal in policy: "AWS":"{principal}"'
    ]


@pytest.mark.parametrize(
    "principal",
    [
        "*",
        ACME,
        "999999999999",
        "arn:aws:iam::999999999999:root",
        f"arn:aws:iam::{ACME}:user/dev/bob",
        f"arn:aws:iam::{ACME}:role/deploy",
        f"arn:aws:sts::{ACME}:assumed-role/deploy/one-session",
    ],
)
def test_accounts_sessions_and_whoever_is_in_the_world_may_be_trusted(principal):
    document = world(account(Users=[user(Path="/dev/")], Roles=[role(principal=principal)]))
    assert faults(document) == []


@pytest.mark.parametrize("keys", [[], [key(Status="Inactive")]])
def test_the_administrator_needs_an_active_key(keys):
    assert places(user_world(Administrator=True, AccessKeys=keys)) == ["Accounts[0].Users[0].AccessKeys"]


def test_only_the_first_of_several_administrators_needs_a_key():
    users = [user("a", Administrator=True), user("b", Administrator=True, AccessKeys=[])]
    assert faults(world(account(Users=users))) == []


@pytest.mark.parametrize("fields", [{}, {"Administrator": False, "AttachedPolicies": [ADMINISTRATOR_ACCESS]}])
def test_a_user_admin_who_is_not_the_administrator_is_not_made_one(fields):
    assert places(world(account(Users=[user("Admin", **fields)]))) == ["Accounts[0].Users[0].UserName"]


def test_a_user_admin_beside_a_marked_administrator_is_just_a_user():
    assert faults(world(account(Users=[user("admin"), user("alice", Administrator=True)]))) == []


def test_a_user_admin_of_the_second_account_is_just_a_user():
    assert faults(world(account(), account(GLOBEX, Users=[user("admin")]))) == []


def test_two_users_cannot_share_a_profile():
    document = world(
        account(Alias="a-b-c", Users=[user("d", Administrator=True), user("e")]),
        account(GLOBEX, Alias="a-b", Users=[user("c-d"), user("c-e", AccessKeys=[])]),
    )
    assert faults(document) == [
        "Accounts[1].Users[0].UserName: its profile 'a-b-c-d' is also that of"
        " arn:aws:iam::111122223333:user/d (rename the user or change an Alias)"
    ]


def test_the_profile_of_the_administrator_that_is_added_counts_too():
    document = world(account(Alias="a-b-c"), account(GLOBEX, Alias="a-b", Users=[user("c-admin")]))
    assert places(document) == ["Accounts[1].Users[0].UserName"]


def test_a_fault_is_one_line_whatever_the_file_says():
    document = world(account(Users=[user("a\nb", **{"x\r\ny": 1})]))
    assert all(len(fault.splitlines()) == 1 for fault in faults(document))
    with pytest.raises(WorldError) as caught:
        materialise(document, Entropy())
    assert str(caught.value).splitlines() == faults(document)


FIELDS = sorted({*NAME_FIELDS, *NAME_FIELDS.values(), *(field for fields in LATER.values() for field in fields)})
WORDS = st.sampled_from(
    [
        *FIELDS,
        *("Accounts", "Id", "Alias", "Path", "UserId", "RoleId", "Administrator", "AccessKeys", "AccessKeyId"),
        *("SecretAccessKey", "Status", "Policies", "AttachedPolicies", "AssumeRolePolicyDocument", "Document"),
        *("Version", "Statement", "Effect", "Action", "Principal", "AWS", "Condition", "MaxSessionDuration"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS | st.just(ACME),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(WORDS | st.text(max_size=3), children, max_size=4)
    ),
    max_leaves=20,
)


def fields_of(**known: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """Objects with the right fields and, now and then, anything in them."""
    return st.fixed_dictionaries({}, optional={name: VALUES | value for name, value in known.items()})


DOCUMENTS = VALUES | st.just(allow()) | st.just(trust(ACME)) | st.just(json.dumps(allow()))
NAMES = st.sampled_from(["bob", "Bob", "admin", "x"])
ENTITY = {"Path": st.just("/p/"), "Policies": st.dictionaries(NAMES, DOCUMENTS), "Groups": st.lists(NAMES)}
KEYS = st.lists(fields_of(AccessKeyId=st.just(KEY_OF_ACME), SecretAccessKey=st.just("x"), Status=st.just("Active")))
WORLDS = fields_of(
    Accounts=st.lists(
        fields_of(
            Id=st.sampled_from([ACME, GLOBEX]),
            Alias=st.sampled_from(["acme", "acme-x"]),
            Users=st.lists(
                fields_of(UserName=NAMES, Administrator=st.booleans(), AccessKeys=KEYS, **ENTITY), max_size=3
            ),
            Roles=st.lists(fields_of(RoleName=NAMES, AssumeRolePolicyDocument=DOCUMENTS), max_size=2),
            Groups=st.lists(fields_of(GroupName=NAMES, Policies=ENTITY["Policies"]), max_size=2),
            ManagedPolicies=st.lists(fields_of(PolicyName=NAMES, Document=DOCUMENTS), max_size=2),
        ),
        max_size=2,
    )
)


@settings(max_examples=150, deadline=None)
@given(VALUES | WORLDS)
def test_any_document_is_either_materialised_or_a_world_error(document):
    found = check(document)
    if found:
        with pytest.raises(WorldError) as caught:
            materialise(document, Entropy())
        assert caught.value.faults == tuple(found)
    else:
        assert check(materialise(document, Entropy())) == []
