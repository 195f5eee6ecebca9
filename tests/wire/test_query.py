"""Requests of the Query API: every row of specification 1.1 and 1.1.1, and bytes that no client would send."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from stsd.errors import BareAnswer, MalformedInput, StsError
from stsd.wire import query
from stsd.wire.messages import Request
from stsd.wire.query import Parameters

FORM = "application/x-www-form-urlencoded"


def post(body: bytes, content_type: str | None = FORM, path: str = "/", raw_query: str = "") -> Request:
    headers = CIMultiDict({} if content_type is None else {"Content-Type": content_type})
    return Request("POST", path, raw_query, headers, body, "id")


def get(raw_query: str, path: str = "/", method: str = "GET") -> Request:
    return Request(method, path, raw_query, CIMultiDict(), b"", "id")


def bare(request: Request) -> BareAnswer:
    with pytest.raises(BareAnswer) as caught:
        query.parse(request)
    return caught.value


def read(text: str) -> Parameters:
    return query.parse(post(b"Action=X&" + text.encode())).parameters


# -- path, method, size, type ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/x", "//", "/./", "/%2F", "/index.html", "/?"])
def test_any_path_but_the_root_is_an_unknown_operation(path):
    answer = bare(post(b"Action=GetCallerIdentity", path=path))
    assert (answer.bare_status, answer.body) == (404, b"<UnknownOperationException/>")


@pytest.mark.parametrize("path", ["/%", "/%2", "/%zz", "/%2F%g0", "/%-1"])
def test_a_malformed_escape_in_the_path_is_answered_400_without_a_body(path):
    answer = bare(get("Action=GetCallerIdentity", path=path))
    assert (answer.bare_status, answer.body) == (400, b"")


def test_the_path_is_judged_before_the_method_and_the_type():
    assert bare(get("", path="/x", method="DELETE")).bare_status == 404
    assert bare(post(b"", None, path="/x")).bare_status == 404


@pytest.mark.parametrize("method", ["PROPFIND", "HEAD", "PUT", "DELETE", "post", ""])
def test_other_methods_are_answered_400(method):
    assert bare(get("Action=GetCallerIdentity", method=method)).bare_status == 400


@pytest.mark.parametrize(
    "content_type",
    [FORM, FORM + "; charset=utf-8", FORM + ";charset=UTF-8", "Application/X-WWW-Form-UrlEncoded", FORM + " ; x"],
)
def test_a_form_is_read_with_or_without_a_charset(content_type):
    call = query.parse(post(b"Action=GetCallerIdentity&Version=2011-06-15", content_type))
    assert (call.action, call.version) == ("GetCallerIdentity", "2011-06-15")


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/json", "multipart/form-data", FORM + "x"]
)
def test_a_post_that_is_no_form_is_sent_to_the_product_page(content_type):
    answer = bare(post(b"Action=GetCallerIdentity", content_type))
    assert (answer.bare_status, answer.body) == (302, b"")
    assert answer.headers == (("Location", "https://aws.amazon.com/iam"),)


def test_a_form_without_an_action_is_sent_to_the_product_page():
    assert bare(post(b"Version=2011-06-15")).headers == (("Location", "https://aws.amazon.com/iam"),)


def test_a_get_without_an_action_keeps_its_query_in_the_location():
    assert bare(get("Version=2011-06-15&x=%20")).headers == (
        ("Location", "https://aws.amazon.com/iam?Version=2011-06-15&x=%20"),
    )
    assert bare(get("")).headers == (("Location", "https://aws.amazon.com/iam"),)


def test_a_location_never_carries_what_is_no_printable_ascii():
    ((_, location),) = bare(get("x=é\r\nSet-Cookie: a")).headers
    assert location == "https://aws.amazon.com/iam?x=%C3%A9%0D%0ASet-Cookie:%20a"


def test_ten_million_bytes_are_accepted_and_one_more_is_not():
    body = b"Action=GetCallerIdentity&Padding="
    body += b"x" * (10_000_000 - len(body))
    assert query.parse(post(body)).action == "GetCallerIdentity"
    answer = bare(post(body + b"x"))
    assert (answer.bare_status, answer.body) == (413, b"")


def test_a_query_beyond_the_head_limit_is_answered_400_without_a_body():
    fits = "Action=GetCallerIdentity&x=" + "x" * 15_000
    assert query.parse(get(fits)).action == "GetCallerIdentity"
    answer = bare(get(fits + "x" * 1_000))
    assert (answer.bare_status, answer.body) == (400, b"")
    assert bare(get("x=" + "é" * 8_000)).bare_status == 400


def test_a_flood_of_parameters_is_refused_before_it_is_decoded():
    with pytest.raises(MalformedInput):
        query.parse(post(b"&" * 1_000_000))


# -- decoding --------------------------------------------------------------------------------------------------------


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"))))
def test_what_a_client_encodes_is_what_is_read(sent):
    encoded = urlencode({**sent, "Action": "X"})
    for request in (post(encoded.encode()), get(encoded)):
        call = query.parse(request)
        for name, value in sent.items():
            if name != "Action" and not name.startswith("X-Amz-"):
                assert call.parameters.get(name) == value


def test_plus_is_a_space_and_an_escaped_plus_is_a_plus():
    assert read("a=x+y%2Bz%20").get("a") == "x y+z "


def test_escapes_may_be_in_either_case_and_are_decoded_once():
    assert read("a=%c3%A9%2f%3a%253A&%62=2").get("a") == "é/:%3A"
    assert read("%62=2").get("b") == "2"


def test_an_escaped_separator_belongs_to_the_value():
    parameters = read("a=1%26b%3D2")
    assert parameters.get("a") == "1&b=2"
    assert parameters.get("b") is None


@pytest.mark.parametrize(
    "body",
    [b"a=%", b"a=%2", b"a=%g1", b"a=%%3A1", b"a=%2%3A", b"a=%+1", b"a=%C3", b"a=\xff", b"%ED%A0%80=1", b"a=%C3\xa9"],
)
def test_what_is_no_escape_or_no_utf8_is_malformed_without_a_message(body):
    with pytest.raises(MalformedInput) as caught:
        query.parse(post(b"Action=X&" + body))
    assert caught.value.message is None


def test_the_first_of_several_values_wins_silently():
    parameters = read("RoleArn=first&RoleArn=second&RoleArn=")
    assert parameters.get("RoleArn") == "first"


def test_names_are_case_sensitive_and_a_name_alone_is_empty():
    parameters = read("rolearn=1&ExternalId&=x&&")
    assert parameters.get("RoleArn") is None
    assert parameters.get("ExternalId") == ""


def test_the_body_beats_the_query_and_the_query_fills_in():
    call = query.parse(post(b"Action=A", raw_query="Action=B&Version=2011-06-15"))
    assert (call.action, call.version) == ("A", "2011-06-15")


def test_the_body_beats_the_query_where_both_spell_an_index_their_own_way():
    request = post(b"Action=X&Keys.member.1=body", raw_query="Keys.member.01=query&Keys.member.2=more")
    assert query.parse(request).parameters.list("Keys") == ("body", "more")


def test_the_signature_of_a_presigned_request_is_no_input():
    call = query.parse(get("Action=A&X-Amz-Security-Token=t&X-Amz-Date=d&DurationSeconds=900"))
    assert call.parameters.get("X-Amz-Security-Token") is None
    assert call.parameters.get("DurationSeconds") == "900"


@given(st.binary(max_size=200), st.binary(max_size=100), st.binary(max_size=20), st.sampled_from(["GET", "POST"]))
def test_arbitrary_bytes_are_read_or_refused_in_the_words_of_the_protocol(body, raw_query, path, method):
    headers = CIMultiDict({"Content-Type": FORM})
    decoded = (part.decode("utf-8", "surrogateescape") for part in (path, raw_query))
    try:
        call = query.parse(Request(method, *decoded, headers, body, "id"))
        call.parameters.structures("a")
    except StsError:
        return
    assert call.action is not None


@given(st.text("abm%+&=.e12\x00é", max_size=60))
def test_near_misses_are_read_or_refused_in_the_words_of_the_protocol(text):
    try:
        parameters = read(text)
        parameters.list("a")
        parameters.structures("b")
    except StsError:
        pass


# -- unknown actions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("Action=Nope&Version=2011-06-15", "Could not find operation Nope for version 2011-06-15"),
        ("Action=Nope", "Could not find operation Nope for version NO_VERSION_SPECIFIED"),
        ("Action=Nope&Version=", "Could not find operation Nope for version "),
        ("Action=&Version=1", "Could not find operation  for version 1"),
    ],
)
def test_an_unknown_action_is_named_with_its_version(form, message):
    call = query.parse(post(form.encode()))
    error = query.unknown_action(call.action, call.version)
    assert (error.code, error.message) == ("InvalidAction", message)


# -- lists ------------------------------------------------------------------------------------------------------------


def test_a_list_of_scalars_counts_from_one():
    assert read("K.member.2=b&K.member.1=a").list("K") == ("a", "b")


def test_a_list_of_structures_keeps_unknown_fields_to_itself():
    parameters = read("T.member.1.Key=k&T.member.1.Value=v&T.member.2.Key=l")
    assert parameters.structures("T") == ({"Key": "k", "Value": "v"}, {"Key": "l"})


def test_an_absent_list_is_not_an_empty_one():
    assert read("K=").list("K") == ()
    assert read("K=").structures("K") == ()
    assert read("J=").list("K") is None
    assert read("Kay.member.1=a").structures("K") is None


def test_leading_zeros_of_an_index_do_not_count_and_the_first_wins():
    assert read("K.member.01=a&K.member.1=b&K.member.0002=c").list("K") == ("a", "c")


def test_a_gap_leaves_a_null_element():
    assert read("K.member.1=a&K.member.3=c").list("K") == ("a", None, "c")
    assert read("T.member.2.Key=c").structures("T") == (None, {"Key": "c"})


def test_an_index_may_jump_by_ten_and_no_further():
    assert len(read("K.member.10=a&K.member.20=b").list("K") or ()) == 20
    for text in ("K.member.11=a", "K.member.1=a&K.member.12=b", "K.member.20=b&K.member.10=a"):
        with pytest.raises(MalformedInput):
            read(text).list("K")


@pytest.mark.parametrize("index", ["0", "00", "-1", "+1", "a", "", "1a", "1e1", "٣", "²", "9" * 5000, "2147483648"])
def test_an_index_that_is_no_positive_number_is_malformed(index):
    for field in ("", ".Key"):
        with pytest.raises(MalformedInput) as caught:
            read(urlencode({f"K.member.{index}{field}": "a"})).structures("K")
        assert caught.value.message is None


@pytest.mark.parametrize("text", ["K=x", "K.1=x", "K.member=x", "K.Member.1.arn=x", "K.entry.1=x", "K.member.1=x"])
def test_what_only_looks_like_a_list_of_structures_is_refused_and_not_dropped(text):
    with pytest.raises(MalformedInput):
        read(text).structures("K")


def test_a_structure_in_a_list_of_scalars_is_malformed():
    with pytest.raises(MalformedInput):
        read("K.member.1.Key=x").list("K")
