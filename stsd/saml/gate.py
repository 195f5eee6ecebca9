"""The gate before the tree: what an anonymous sender may have a tree built of.

expat, which keeps nothing, reads first:

1. UTF-8, no document type declaration, so no entities either.
2. At most MAX_ELEMENTS, MAX_DEPTH deep, with MAX_ATTRIBUTES attributes and namespaces altogether and MAX_OF_ONE of one
   element: lxml and canonicalisation take time that grows with the square of these.
"""

from __future__ import annotations

from xml.parsers import expat

MAX_BYTES = 100_000
MAX_ELEMENTS = 4_000
MAX_DEPTH = 32
MAX_ATTRIBUTES = 8_000
MAX_OF_ONE = 128


class NotAdmittedError(ValueError):
    """Why no tree is built of a document, as a snake_case word."""


def admit(document: bytes) -> None:
    """Raises NotAdmittedError."""
    if len(document) > MAX_BYTES:
        raise NotAdmittedError("too_large")
    try:
        _Reading().parser.Parse(document, True)
    except expat.ExpatError:
        raise NotAdmittedError("no_xml") from None


class _Reading:
    """One pass of expat over one document."""

    def __init__(self) -> None:
        self._depth = self._elements = self._attributes = 0
        self.parser = expat.ParserCreate("utf-8")
        self.parser.ordered_attributes = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end

    def _doctype(self, *_: object) -> None:
        raise NotAdmittedError("document_type")

    def _start(self, _: str, attributes: list[str]) -> None:
        self._depth += 1
        self._elements += 1
        found = len(attributes) // 2
        self._attributes += found
        if self._depth > MAX_DEPTH:
            raise NotAdmittedError("too_deep")
        if self._elements > MAX_ELEMENTS or self._attributes > MAX_ATTRIBUTES:
            raise NotAdmittedError("too_many_elements")
        if found > MAX_OF_ONE:
            raise NotAdmittedError("too_many_attributes")

    def _end(self, _: str) -> None:
        self._depth -= 1
