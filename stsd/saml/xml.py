"""XML as trees: a parser without document types, entities, network or huge trees, and how elements are read.

`admitted` is for what a client sent, `parse` for what the operator gave. Text is what stands between an element's tags,
whatever comments cut it into pieces: a reader that stops at the first piece believes in another subject than the
signer did.
"""

from __future__ import annotations

from lxml import etree

from stsd.saml import gate
from stsd.saml.gate import NotAdmittedError

Element = etree._Element
ASSERTION = "{urn:oasis:names:tc:SAML:2.0:assertion}"
PROTOCOL = "{urn:oasis:names:tc:SAML:2.0:protocol}"
METADATA = "{urn:oasis:names:tc:SAML:2.0:metadata}"
DSIG = "{http://www.w3.org/2000/09/xmldsig#}"
EXC_C14N = "{http://www.w3.org/2001/10/xml-exc-c14n#}"


class XmlError(ValueError):
    """Why a document or an element is not as it has to be, as a snake_case word."""


def parser() -> etree.XMLParser:
    """A new strict parser; it believes no encoding declaration, everything is UTF-8."""
    return etree.XMLParser(
        encoding="utf-8", resolve_entities=False, load_dtd=False, dtd_validation=False, no_network=True,
        huge_tree=False, remove_comments=False, remove_pis=False,
    )  # fmt: skip


def admitted(document: bytes) -> Element:
    """The root of a document from anybody. Raises XmlError."""
    try:
        gate.admit(document)
    except NotAdmittedError as error:
        raise XmlError(str(error)) from None
    return parse(document)


def parse(document: bytes) -> Element:
    """The root of a document. Raises XmlError."""
    try:
        root = etree.fromstring(document, parser())
    except (etree.XMLSyntaxError, ValueError):
        raise XmlError("no_xml") from None
    information = root.getroottree().docinfo
    if information.internalDTD is not None or information.externalDTD is not None:
        raise XmlError("document_type")
    if next(root.iter(etree.Entity), None) is not None:
        raise XmlError("entity")
    return root


def children(parent: Element, name: str) -> list[Element]:
    """The children of that name, in their order."""
    return [child for child in parent if child.tag == name]


def only(parent: Element, name: str) -> Element:
    """The one child of that name. Raises XmlError when there is none or a second one."""
    found = children(parent, name)
    if len(found) != 1:
        raise XmlError(f"{'several' if found else 'no'}_{local(name)}")
    return found[0]


def text(element: Element) -> str | None:
    """The whole text of an element; None when it has elements in it."""
    parts = [element.text or ""]
    for child in element:
        if isinstance(child.tag, str):
            return None
        parts.append(child.tail or "")
    return "".join(parts)


def words(element: Element) -> str:
    """The text of an element that has to have some. Raises XmlError."""
    found = text(element)
    if not found:
        raise XmlError(f"no_text_in_{local(str(element.tag))}")
    return found


def attribute(element: Element, name: str) -> str:
    """An attribute that has to be there. Raises XmlError."""
    found = element.get(name)
    if not found:
        raise XmlError(f"no_{name}")
    return found


def local(name: str) -> str:
    """A name without its namespace."""
    return name.rpartition("}")[2]
