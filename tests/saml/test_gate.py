"""What an anonymous sender may have a tree built of, and what stays of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stsd.saml import gate
from stsd.saml.gate import NotAdmittedError
from tests.saml import idp


def attributes(count: int) -> bytes:
    return b" ".join(b'a%d=""' % number for number in range(count))


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "no_xml"),
        (b"<a><b></a>", "no_xml"),
        (b"<a>\xff</a>", "no_xml"),
        (b"<a>" + b" " * gate.MAX_BYTES + b"</a>", "too_large"),
        (b"<a>" * 33 + b"</a>" * 33, "too_deep"),
        (b"<a>" + b"<b/>" * gate.MAX_ELEMENTS + b"</a>", "too_many_elements"),
        (b"<a>" + (b"<b " + attributes(100) + b"/>") * 81 + b"</a>", "too_many_elements"),
        (b"<a " + attributes(gate.MAX_OF_ONE + 1) + b"/>", "too_many_attributes"),
        (b"<!DOCTYPE a><a/>", "document_type"),
    ],
)
def test_what_is_not_admitted(document, reason):
    with pytest.raises(NotAdmittedError) as refused:
        gate.admit(document)
    assert str(refused.value) == reason


def test_an_ordinary_response_is_admitted():
    gate.admit(idp.etree.tostring(idp.sign(idp.response())))
    gate.admit(b"<a " + attributes(gate.MAX_OF_ONE) + b"/>")


GROWTH = """
from base64 import b64encode
from stsd.saml import metadata, response
from stsd.saml.refused import Refused
from tests.saml import idp

TRUSTED = metadata.read(idp.metadata())
FORGED = idp.etree.tostring(idp.response(None, "attacker"))

def send(n):
    names = "".join(f"<n{n}x{i}/>{' ' * (i % 50)}" for i in range(2000)).encode()
    end = b"</saml:AttributeStatement>"
    try:
        response.verified(b64encode(FORGED.replace(end, names + end)).decode(), TRUSTED)
    except Refused as refused:
        assert refused.reason == "saml_signature"

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4

for n in range(20):
    send(n)
before = resident()
for n in range(20, 170):
    send(n)
print(resident() - before)
good = response.verified(idp.encoded(), TRUSTED)
assert good.subject == "alice"
"""


def test_names_that_nobody_has_sent_before_neither_make_a_node_grow_nor_lock_others_out():
    told = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, check=True, timeout=60)
    assert int(told.stdout) < 15_000  # kB; it stays below 8,000, and in one thread it is 35,000 and more
