"""What an anonymous sender may have a tree built of."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stsd.saml import gate
from stsd.saml.gate import Gate, NotAdmittedError
from tests.saml import idp

GOOD = idp.etree.tostring(idp.sign(idp.response()))


def refusal(document: bytes, room: int = 10) -> str:
    with pytest.raises(NotAdmittedError) as refused:
        Gate(room).admit(document)
    return str(refused.value)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "no_xml"),
        (b"<a><b></a>", "no_xml"),
        (b"<a>\xff</a>", "no_xml"),
        (b"<a>" + b" " * gate.MAX_BYTES + b"</a>", "too_large"),
        (b"<a>" * 33 + b"</a>" * 33, "too_deep"),
        (b"<Name>" + b"<Name/>" * gate.MAX_ELEMENTS + b"</Name>", "too_many_elements"),
        (b"<Name " + b" ".join(b'a%d=""' % n for n in range(8_001)) + b"/>", "too_many_elements"),
        (b"<!DOCTYPE a><a/>", "document_type"),
        (b"<" + b"x" * 257 + b"/>", "long_name"),
        (b"<Name> \t \t<Name/></Name>", "odd_blanks"),
        (b"<Name>\n\n\n\n<Name/></Name>", "odd_blanks"),
        (b"<Name><!-- --> \t<Name/></Name>", "odd_blanks"),
    ],
)
def test_what_is_not_admitted(document, reason):
    assert refusal(document) == reason


def test_an_ordinary_response_uses_no_foreign_name_and_its_indentation_is_fine():
    Gate(0).admit(GOOD)
    Gate(0).admit(b"<Name>\r\n    <Name>\n\t\t<Name/>  \n  </Name>\n</Name>")


@pytest.mark.parametrize(
    "document", [b"<x/>", b'<Name x=""/>', b'<Name xmlns:x=""/>', b'<Name xmlns="x"/>', b"<Name><?x?></Name>"]
)
def test_foreign_names_are_counted_once_and_forever(document):
    small = Gate(1)
    for _ in range(3):
        small.admit(document)
    with pytest.raises(NotAdmittedError, match="foreign_names"):
        small.admit(b"<y/>")
    small.admit(document)
    small.admit(GOOD)
    assert refusal(document, room=0) == "foreign_names"


GROWTH = """
from base64 import b64encode
from stsd.saml.refused import Refused
from stsd.saml.response import open_response

def send(n):
    names = "".join(f"<n{n}x{i}/>{' ' * (i % 50)}" for i in range(3000))
    try:
        open_response(b64encode(f"<r>{names}</r>".encode()).decode())
    except Refused:
        return

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4

for n in range(20):
    send(n)
before = resident()
for n in range(20, 170):
    send(n)
print(resident() - before)
"""


def test_names_that_nobody_has_sent_before_do_not_make_a_node_grow():
    told = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, check=True, timeout=60)
    assert int(told.stdout) < 4_000  # kB; without the gate it is 15,000 and more
