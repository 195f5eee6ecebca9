"""Answers, byte for byte as in specification 1.2 and 1.3, and readable whatever a message holds."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from stsd.errors import AccessDenied, InternalFailure, InvalidAction, MalformedInput, ServiceUnavailable
from stsd.wire import xml
from stsd.wire.xml import Timestamp

ID = "5f0f3a6e-1c0f-4a0e-9f2d-0c3b2b1a9d11"
STS = "{https://sts.amazonaws.com/doc/2011-06-15/}"
IDENTITY = (
    ("Arn", "arn:aws:iam::111122223333:user/alice"),
    ("UserId", "AIDARTX3GSDSQEXAMPLE1"),
    ("Account", "111122223333"),
)
NOT_IN_XML = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"  # XML 1.0 section 2.2
CREDENTIALS = (("AccessKeyId", "ASIA"), ("Expiration", Timestamp(1_795_438_800)))


def test_a_successful_answer_is_the_one_of_the_specification():
    assert xml.render("GetCallerIdentity", IDENTITY, ID) == (
        b'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">\n'
        b"  <GetCallerIdentityResult>\n"
        b"    <Arn>arn:aws:iam::111122223333:user/alice</Arn>\n"
        b"    <UserId>AIDARTX3GSDSQEXAMPLE1</UserId>\n"
        b"    <Account>111122223333</Account>\n"
        b"  </GetCallerIdentityResult>\n"
        b"  <ResponseMetadata>\n"
        b"    <RequestId>5f0f3a6e-1c0f-4a0e-9f2d-0c3b2b1a9d11</RequestId>\n"
        b"  </ResponseMetadata>\n"
        b"</GetCallerIdentityResponse>\n"
    )


def test_structures_lists_numbers_and_times_nest_in_the_order_given():
    members = (
        ("Credentials", CREDENTIALS),
        ("PackedPolicySize", 4),
        ("Names", ["a", (("Key", "b"),)]),
        ("None", []),
    )
    assert xml.render("Op", members, ID, "urn:x").decode() == (
        '<OpResponse xmlns="urn:x">\n  <OpResult>\n'
        "    <Credentials>\n      <AccessKeyId>ASIA</AccessKeyId>\n"
        "      <Expiration>2026-11-23T13:00:00Z</Expiration>\n    </Credentials>\n"
        "    <PackedPolicySize>4</PackedPolicySize>\n"
        "    <Names>\n      <member>a</member>\n      <member>\n        <Key>b</Key>\n      </member>\n    </Names>\n"
        "    <None/>\n"
        f"  </OpResult>\n  <ResponseMetadata>\n    <RequestId>{ID}</RequestId>\n  </ResponseMetadata>\n</OpResponse>\n"
    )


def test_an_error_is_the_one_of_the_specification():
    assert xml.render_error(AccessDenied('a < b & "c"'), ID).decode() == (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">\n  <Error>\n    <Type>Sender</Type>\n'
        "    <Code>AccessDenied</Code>\n    <Message>a &lt; b &amp; &quot;c&quot;</Message>\n  </Error>\n"
        f"  <RequestId>{ID}</RequestId>\n</ErrorResponse>\n"
    )


def test_an_error_without_a_message_has_no_message_element():
    assert b"Message" not in xml.render_error(MalformedInput(), ID)
    assert b"Message" not in xml.render_error_json(MalformedInput(), ID)


def test_only_invalid_action_is_in_the_fault_namespace():
    fault = b'xmlns="http://webservices.amazon.com/AWSFault/2005-15-09"'
    assert fault in xml.render_error(InvalidAction("x"), ID)
    assert fault not in xml.render_error(AccessDenied("x"), ID)


@pytest.mark.parametrize("error", [InternalFailure("x"), ServiceUnavailable("x")])
def test_what_is_our_fault_is_the_receivers(error):
    assert b"<Type>Receiver</Type>" in xml.render_error(error, ID)
    assert json.loads(xml.render_error_json(error, ID))["Error"]["Type"] == "Receiver"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain/+=,.@-'", "plain/+=,.@-'"),
        ('&<>"', "&amp;&lt;&gt;&quot;"),
        ("a\r\n\tb", "a&#xD;&#xA;&#x9;b"),
        ("\x7f\x85\u2028", "&#x7F;&#x85;&#x2028;"),
        ("é😀", "é😀"),
        ("\0\x1b\ud800\uffff", "\ufffd" * 4),
    ],
)
def test_text_is_escaped(text, escaped):
    assert xml.escape(text) == escaped


@given(st.text(st.characters()))
def test_any_text_survives_as_far_as_xml_can_say_it(text):
    read = ElementTree.fromstring(xml.render("Op", (("Value", text),), ID)).findtext(f".//{STS}Value")
    assert (read or "") == re.sub(NOT_IN_XML, "\ufffd", text)


@given(st.text(st.characters()))
def test_any_message_makes_a_readable_error(text):
    error = AccessDenied(text)
    assert ElementTree.fromstring(xml.render_error(error, ID)).findtext(f"{STS}RequestId") == ID
    assert json.loads(xml.render_error_json(error, ID))["RequestId"] == ID
    assert json.loads(xml.render_json("Op", (("Value", text),), ID))


# -- JSON -------------------------------------------------------------------------------------------------------------


def test_json_has_the_same_members_in_alphabetical_order():
    assert xml.render_json("GetCallerIdentity", IDENTITY, ID).decode() == (
        '{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Account":"111122223333",'
        '"Arn":"arn:aws:iam::111122223333:user/alice","UserId":"AIDARTX3GSDSQEXAMPLE1"},'
        f'"ResponseMetadata":{{"RequestId":"{ID}"}}}}}}'
    )


def test_json_times_are_epoch_seconds_and_lists_are_arrays():
    answer = json.loads(xml.render_json("Op", (("Credentials", CREDENTIALS), ("Names", ["a"]), ("Size", 4)), ID))
    assert answer["OpResponse"]["OpResult"] == {
        "Credentials": {"AccessKeyId": "ASIA", "Expiration": 1_795_438_800},
        "Names": ["a"],
        "Size": 4,
    }


def test_a_json_error_is_the_one_of_the_specification():
    assert xml.render_error_json(AccessDenied("no"), ID).decode() == (
        f'{{"Error":{{"Code":"AccessDenied","Message":"no","Type":"Sender"}},"RequestId":"{ID}"}}'
    )


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("text/plain, application/json;q=0.9", True),
        ("*/*", False),
        ("text/xml", False),
        ("application/json-seq", False),
        ("application/*", False),
        ("", False),
        (None, False),
    ],
)
def test_json_is_for_who_accepts_it_by_name(accept, expected):
    assert xml.wants_json(CIMultiDict({} if accept is None else {"Accept": accept})) is expected
