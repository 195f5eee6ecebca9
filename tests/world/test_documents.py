import json
from time import perf_counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stsd.world import WorldError, load


def fault(text: str, source: str = "world.yaml") -> str:
    with pytest.raises(WorldError) as caught:
        load(text, source)
    return str(caught.value)


def test_yaml_and_json_say_the_same():
    document = {"Accounts": [{"Id": "111122223333", "Users": [{"UserName": "bob", "Administrator": True}]}]}
    text = "Accounts:\n- Id: '111122223333'\n  Users:\n  - {UserName: bob, Administrator: true}\n"
    assert load(text, "world.yaml") == load(json.dumps(document), "world.json") == document


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("2012-10-17", "2012-10-17"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("no", "no"),
        ("on", "on"),
        ("12:30:00", "12:30:00"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("3600", 3600),
        ("0x10", 16),
        ("1.5", 1.5),
        ("'3600'", "3600"),
        ("!!str 3600", "3600"),
        (".inf", ".inf"),
        ("arn:aws:iam::aws:policy/X", "arn:aws:iam::aws:policy/X"),
    ],
)
def test_plain_scalars_follow_the_core_schema_of_yaml_1_2(scalar, value):
    assert load(f"a: {scalar}", "world.yaml") == {"a": value}


def test_keys_are_text_even_when_they_look_like_numbers():
    assert load("1: {true: x, ~: y}", "world.yaml") == {"1": {"true": "x", "~": "y"}}


def test_an_alias_repeats_what_its_anchor_names():
    assert load("a: &x {b: 1}\nc: *x", "world.yaml") == {"a": {"b": 1}, "c": {"b": 1}}


def test_yaml_in_flow_style_is_not_mistaken_for_json():
    assert load("{a: 1, b: [x, y]}", "world.yaml") == {"a": 1, "b": ["x", "y"]}


def test_json_with_a_surrogate_pair_is_one_character():
    assert load('{"a": "\\ud83d\\ude00"}', "world.yaml") == {"a": "😀"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Accounts:\n  - Id: 'x\n", "line 3: column 1: found unexpected end of stream"),
        ("Accounts: [\n", "line 2: column 1: expected the node content, but found '<stream end>'"),
        ("a: 1\n b: 2\n", "line 2: column 3: mapping values are not allowed here"),
        ("a: *nobody\n", "line 1: column 4: found undefined alias 'nobody'"),
        ("a: 1\n--- b\n", "line 2: column 1: but found another document"),
        ("a: 1\nb: \x07\n", "line 2: the character U+0007 is not allowed"),
    ],
)
def test_a_yaml_syntax_error_tells_the_line(text, said):
    assert fault(text) == said


def test_a_json_syntax_error_tells_the_line():
    assert fault('{"a": 1,\n "b" 2}', "world.json") == "line 2: column 6: Expecting ':' delimiter"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Accounts:\n- Id: a\n  Id: b", "Accounts[0].Id: is given more than once in the same object (line 3)"),
        ('{"Accounts": [{"Id": "a", "Id": "b"}]}', "Accounts[0].Id: is given more than once in the same object"),
        ("a: !python/none x", "a: has the tag !python/none, which is not supported (line 1)"),
        ("a: !!binary eA==", "a: has the tag tag:yaml.org,2002:binary, which is not supported (line 1)"),
        ("a: !!int x", "a: is not what its tag tag:yaml.org,2002:int says (line 1)"),
        ("a: {<<: {b: 1}}", 'a["<<"]: is a merge key, which is not supported; repeat the fields (line 1)'),
        ("a: {[b]: 1}", "a: has a list or an object for a key (line 1)"),
        ("a: 99999999999999999999", "a: is too large for a number; quote it"),
        ("a: " + "9" * 5000, "a: is too large for a number; quote it (line 1)"),
        ("a: 1e999", "a: is not a finite number"),
        ('a: "\\ud800"', "a: holds half of a surrogate pair, which is not a character"),
        ("", "world: is not an object with the field Accounts"),
        ("- a", "world: is not an object with the field Accounts"),
    ],
)
def test_what_would_be_guessed_is_a_fault(text, said):
    assert fault(text) == said


def test_every_repeated_key_is_told_at_once():
    assert fault("a: 1\nb: 1\nb: 2\na: 2").splitlines() == [
        "a: is given more than once in the same object (line 4)",
        "b: is given more than once in the same object (line 3)",
    ]


def bomb() -> str:
    levels = (f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30))
    return "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x]", *levels])


@pytest.mark.parametrize(
    "text",
    [
        bomb(),
        "a: &a [*a]",
        "a: &a\n  b: *a",
        "[" * 50_000,
        "{" * 50_000,
        "- " * 50_000,
        '{"a":' * 50_000,
        '{"a":' + "[" * 50_000,
        '{"a": ' + "9" * 100_000 + "}",
        '{"a": NaN}',
        "%YAML 1." + "9" * 10_000 + "\n--- a",
        '"\\UFFFFFFFF"',
    ],
    ids=lambda text: text[:12],
)
def test_a_hostile_file_is_refused_soon(text):
    started = perf_counter()
    assert len(fault(text).splitlines()) == 1
    assert perf_counter() - started < 20


def test_a_secret_beside_a_syntax_error_is_not_told():
    text = "Accounts:\n- Users:\n  - SecretAccessKey: hunter2hunter2 : x\n"
    assert "hunter2" not in fault(text)
    assert "hunter2" not in fault('{"SecretAccessKey": "hunter2hunter2" x}', "world.json")


PIECES = st.sampled_from(
    [*"{}[]:,-&*!|>'\"%@`#?~ \n\t\\<=.0123e", "Accounts", "Id", "<<", "a", "\\u", "\ud800", "\x00", "é"]
)


@settings(deadline=None)
@given(st.one_of(st.text(), st.lists(PIECES).map("".join)), st.sampled_from(["world.yaml", "world.json"]))
@example("\ufeff", "world.json")
@example("%", "world.yaml")
@example("!<%", "world.yaml")
def test_any_text_gives_a_document_or_a_world_error(text, source):
    try:
        document = load(text, source)
    except WorldError:
        return
    assert json.loads(json.dumps(document)) == document
