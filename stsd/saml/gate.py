"""The gate before the tree: what an anonymous sender may have a tree built of.

libxml2 keeps every name that it has seen, element, attribute, prefix and namespace, and every run of blanks in a
dictionary that lives as long as the thread; lxml has no way around it. Whoever sends names that nobody has sent before
would make a node grow by more than each request weighs. So expat, which keeps nothing, reads first:

1. UTF-8, no document type declaration, so no entities either.
2. At most MAX_ELEMENTS, MAX_DEPTH deep, with MAX_ATTRIBUTES attributes and namespaces altogether.
3. Names of SAML and XML signatures are free. Of other names the process takes MAX_FOREIGN ever; they come from the few
   identity providers of a world, and what they use stays known.
4. Runs of blanks are indentation: blanks of one kind, line ends, blanks of that kind.
"""

from __future__ import annotations

import re
from xml.parsers import expat

from stsd.saml.names import NAMES, NAMESPACES, PREFIXES

MAX_BYTES = 100_000
MAX_ELEMENTS = 4_000
MAX_DEPTH = 32
MAX_ATTRIBUTES = 8_000
MAX_FOREIGN = 4_096
MAX_NAME = 256
_INTERNED_BLANKS = 60
"""libxml2 keeps blanks up to this length; each of the runs allowed exists once, which is less than 1 MB of them."""

_INDENTATION = re.compile(r" *\n{0,3} *|\t*\n{0,3}\t*")


class NotAdmittedError(ValueError):
    """Why no tree is built of a document, as a snake_case word."""


class Gate:
    """Remembers the foreign names that it has let through, `room` of them at most."""

    def __init__(self, room: int = MAX_FOREIGN) -> None:
        self._room = room
        self._foreign: set[str] = set()

    def admit(self, document: bytes) -> None:
        """Raises NotAdmittedError."""
        if len(document) > MAX_BYTES:
            raise NotAdmittedError("too_large")
        reading = _Reading()
        try:
            reading.parser.Parse(document, True)
        except expat.ExpatError:
            raise NotAdmittedError("no_xml") from None
        new = reading.foreign - self._foreign
        if len(self._foreign) + len(new) > self._room:
            raise NotAdmittedError("foreign_names")
        self._foreign |= new


class _Reading:
    """One pass of expat over one document."""

    def __init__(self) -> None:
        self.foreign: set[str] = set()
        self._depth = self._elements = self._attributes = 0
        self.parser = expat.ParserCreate("utf-8")
        self.parser.buffer_text = True
        self.parser.ordered_attributes = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.ProcessingInstructionHandler = self._instruction
        self.parser.CommentHandler = lambda _: None  # ends a run of text, as in libxml2

    def _doctype(self, *_: object) -> None:
        raise NotAdmittedError("document_type")

    def _start(self, name: str, attributes: list[str]) -> None:
        self._depth += 1
        self._elements += 1
        self._attributes += len(attributes) // 2
        if self._depth > MAX_DEPTH:
            raise NotAdmittedError("too_deep")
        if self._elements > MAX_ELEMENTS or self._attributes > MAX_ATTRIBUTES:
            raise NotAdmittedError("too_many_elements")
        self._name(name)
        for index in range(0, len(attributes), 2):
            self._attribute(attributes[index], attributes[index + 1])

    def _end(self, _: str) -> None:
        self._depth -= 1

    def _attribute(self, name: str, value: str) -> None:
        if name == "xmlns" or name.startswith("xmlns:"):
            if name[6:] not in PREFIXES and name != "xmlns":
                self._add(name[6:])
            if value not in NAMESPACES:
                self._add(value)
        else:
            self._name(name)

    def _name(self, name: str) -> None:
        prefix, _, local = name.rpartition(":")
        if local not in NAMES or (prefix and prefix not in PREFIXES):
            self._add(name)

    def _instruction(self, target: str, _: str) -> None:
        self._add(target)

    def _add(self, name: str) -> None:
        if len(name) > MAX_NAME:
            raise NotAdmittedError("long_name")
        self.foreign.add(name)

    def _text(self, text: str) -> None:
        if text.isspace() and len(text) < _INTERNED_BLANKS and not _INDENTATION.fullmatch(text):
            raise NotAdmittedError("odd_blanks")
