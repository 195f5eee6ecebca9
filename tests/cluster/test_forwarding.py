from __future__ import annotations

import pytest

from cluster import forwarding

MARK = ("x-stsd-forwarded", "regional;127.0.0.1;0;1;aa")


def head(*headers: tuple[bytes, bytes], target: str = "/", length: int = 0) -> list[bytes]:
    text = forwarding.request_head("POST", target, headers, length, MARK)
    assert text.endswith(b"\r\n\r\n")
    return text[:-4].split(b"\r\n")


def test_fields_keep_their_order_case_and_bytes():
    fields = ((b"hOst", b"sts.example:443"), (b"X-A", b" two  spaces"), (b"x-a", b"\xe9"), (b"Authorization", b"AWS4"))
    lines = head(*fields)
    assert lines[0] == b"POST / HTTP/1.1"
    assert lines[1:5] == [b"hOst: sts.example:443", b"X-A:  two  spaces", b"x-a: \xe9", b"Authorization: AWS4"]


def test_hop_by_hop_fields_end_here():
    fields = (
        (b"Connection", b"close, X-Mine"),
        (b"x-mine", b"1"),
        (b"Transfer-Encoding", b"chunked"),
        (b"TE", b"gzip"),
        (b"Expect", b"100-continue"),
    )
    assert head((b"Host", b"h"), *fields) == [b"POST / HTTP/1.1", b"Host: h", b"x-stsd-forwarded: " + MARK[1].encode()]


def test_connection_cannot_remove_what_carries_the_meaning():
    lines = head((b"Host", b"h"), (b"Authorization", b"a"), (b"Connection", b"host, authorization"))
    assert b"Host: h" in lines
    assert b"Authorization: a" in lines


def test_a_clients_own_mark_never_gets_through():
    forged = ((b"X-STSD-Forwarded", b"global;1.2.3.4;1;9;00"), (b"x-stsd-region", b"eu-west-1"))
    lines = head((b"Host", b"h"), *forged)
    assert [line for line in lines if line.lower().startswith(b"x-stsd-")] == [b"x-stsd-forwarded: " + MARK[1].encode()]


def test_a_chunked_body_gets_its_length():
    assert b"Content-Length: 7" in head((b"Host", b"h"), (b"Transfer-Encoding", b"chunked"), length=7)


def test_the_target_passes_as_it_came():
    assert head(target="/%7e//a/../b?x=%zz&y=+")[0] == b"POST /%7e//a/../b?x=%zz&y=+ HTTP/1.1"


def test_the_absolute_form_becomes_the_origin_form():
    assert forwarding.origin_form("http://sts.example:80/a?b=http://c/") == "/a?b=http://c/"
    assert forwarding.origin_form("http://sts.example") == "/"
    assert forwarding.origin_form("http://sts.example?a=/b") == "/?a=/b"
    assert forwarding.origin_form("/a?b=http://c/") == "/a?b=http://c/"


def test_response_fields_of_the_region_pass_and_hop_by_hop_ones_do_not():
    fields = ((b"x-stsd-region", b"eu-west-1"), (b"Connection", b"close"), (b"Content-Length", b"9"))
    assert forwarding.response_fields(fields) == b"x-stsd-region: eu-west-1\r\n"


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (b'{"account_id": "111122223333", "wait": "all"}', 2.0),
        (b'{"account_id": "111122223333", "wait": "all", "timeout_s": 30}', 30.0),
        (b'{"account_id": "111122223333", "wait": "all", "timeout_s": 31}', 0.0),
        (b'{"account_id": "111122223333", "wait": "all", "timeout_s": NaN}', 0.0),
        (b'{"account_id": "111122223333", "wait": "none", "timeout_s": 30}', 0.0),
        (b'{"account_id": "111122223333"}', 0.0),
        (b'["wait", "all"]', 0.0),
        (b'{"wait": "all"', 0.0),
        (b"\xffwait", 0.0),
        (b"[" * 60_000 + b"wait", 0.0),
    ],
)
def test_a_region_is_given_the_time_that_the_caller_asks_it_to_wait(body, seconds):
    assert forwarding.asked_wait_s("POST", "/v1/revocations", body) == seconds
    assert forwarding.asked_wait_s("POST", "/v1/verify", body) == 0.0
