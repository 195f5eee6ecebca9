"""Query API requests: a form body or a query string becomes an action and its flat parameters (spec 1.1).

The checks run in the dispatch order of spec 1.1.2: the path, the sizes, the decoding, the action. Whether the action
exists is for the index of operations to say; `unknown_action` has the words.

    parse(request) ─ wrong path, method, size, type ──→ BareAnswer    (302, 400, 404, 413; spec 1.1)
                   └ undecodable ─────────────────────→ MalformedInput (no message)
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import quote

from stsd.errors import BareAnswer, InvalidAction, MalformedInput
from stsd.wire.messages import Request

MAX_BODY_BYTES = 10_000_000
MAX_QUERY_BYTES = 15_900
MAX_PARAMETERS = 10_000
"""Not AWS's: the largest call has some 120 parameters, and ten megabytes of `&` should not keep a node busy."""
MAX_INDEX_JUMP = 10
FORM = "application/x-www-form-urlencoded"
REDIRECT = "https://aws.amazon.com/iam"

_MALFORMED_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_HEX_DIGITS = "0123456789abcdefABCDEF"
_OCTETS = {(high + low).encode(): bytes.fromhex(high + low) for high in _HEX_DIGITS for low in _HEX_DIGITS}
_ASCII = {digits.decode(): octet.decode() for digits, octet in _OCTETS.items() if octet.isascii()}


class Parameters:
    """The parameters of one call by wire name; of several with one name the first on the wire holds (spec 1.1).

    `roots` are their top-level names: `Tags` for `Tags.member.1.Key` too.
    """

    __slots__ = ("_dotted", "_flat", "roots")

    def __init__(self, flat: dict[str, str]) -> None:
        self._flat = flat
        self._dotted = [name for name in flat if "." in name]
        self.roots: Collection[str] = flat
        if self._dotted:
            self.roots = {name.partition(".")[0] for name in flat}

    def get(self, name: str) -> str | None:
        """A scalar's text."""
        return self._flat.get(name)

    def list(self, name: str) -> tuple[str | None, ...] | None:
        """The scalars `name.member.N`, None for a gap; None for an absent list. Raises MalformedInput (1.1.1)."""
        elements = self._elements(name)
        if elements is None:
            return None
        if any(key for fields in elements.values() for key in fields):
            raise MalformedInput(reason="structure_in_scalar_list")
        return tuple(elements[at][""] if at in elements else None for at in range(1, _extent(elements) + 1))

    def structures(self, name: str) -> tuple[dict[str, str] | None, ...] | None:
        """The structures `name.member.N.Field`, None for a gap; None for an absent list. Raises MalformedInput."""
        elements = self._elements(name)
        if elements is None:
            return None
        if any(fields.pop("", "") for fields in elements.values()):
            raise MalformedInput(reason="scalar_in_structure_list")
        return tuple(elements.get(at) for at in range(1, _extent(elements) + 1))

    def _elements(self, name: str) -> dict[int, dict[str, str]] | None:
        """Fields by index; a scalar's field is "". What looks like the list but is none is refused, not dropped:
        a session policy must not get lost over a misspelt parameter."""
        elements: dict[int, dict[str, str]] = {}
        prefix, extent = name + ".", 0
        for wire_name in self._dotted:
            if not wire_name.startswith(prefix):
                continue
            member, _, rest = wire_name[len(prefix) :].partition(".")
            if member != "member":
                raise MalformedInput(reason="not_a_list_member")
            digits, _, key = rest.partition(".")
            index = _index(digits, extent)
            extent = max(extent, index)
            elements.setdefault(index, {}).setdefault(key, self._flat[wire_name])
        bare = self._flat.get(name)
        if bare:
            raise MalformedInput(reason="scalar_for_a_list")
        return elements if elements or bare is not None else None


def _index(digits: str, extent: int) -> int:
    """A list index from 1; `01` is 1; more than ten beyond what there is so far is refused (spec 1.1.1)."""
    significant = digits.lstrip("0")
    if not (significant.isascii() and significant.isdecimal()) or len(significant) > 6:
        raise MalformedInput(reason="list_index")
    if int(significant) > extent + MAX_INDEX_JUMP:
        raise MalformedInput(reason="list_index_jump")
    return int(significant)


def _extent(elements: dict[int, dict[str, str]]) -> int:
    return max(elements, default=0)


class Call(NamedTuple):
    """What is asked for. `version` None was absent, which reads differently from an empty one (spec 1.4)."""

    action: str
    version: str | None
    parameters: Parameters


def parse(request: Request) -> Call:
    """The call that a request makes. Raises BareAnswer and MalformedInput."""
    if request.path not in ("/", ""):
        raise wrong_path(request.path)
    query = request.query
    # Octets count, not characters; text of fewer than a quarter of the limit cannot reach it.
    if len(query) > MAX_QUERY_BYTES // 4 and len(octets(query)) > MAX_QUERY_BYTES:
        raise BareAnswer(400)
    if request.method == "POST":
        sent = pairs(_form(request))
        flat = _first_wins(sent + _input(query) if query else sent)
    elif request.method == "GET":
        flat = _first_wins(_input(query))
    else:
        raise BareAnswer(400)
    action = flat.get("Action")
    if action is None:
        raise _redirect(query if request.method == "GET" else "")
    return Call(action, flat.get("Version"), Parameters(flat))


def unknown_action(action: str, version: str | None) -> InvalidAction:
    """The refusal of an action that no operation answers (spec 1.4)."""
    spoken = "NO_VERSION_SPECIFIED" if version is None else version
    return InvalidAction(f"Could not find operation {action} for version {spoken}", reason="unknown_action")


def wrong_path(path: str) -> BareAnswer:
    """The answer to any path that is not served: 404, or 400 when its escapes are malformed (spec 1.1)."""
    if _MALFORMED_ESCAPE.search(path):
        return BareAnswer(400)
    return BareAnswer(404, b"<UnknownOperationException/>")


def octets(text: str) -> bytes:
    """Text of the request's head as the bytes that were received."""
    return text.encode("utf-8", "surrogateescape")


def pairs(raw: bytes) -> list[tuple[str, str]]:
    """Names and values of a form or query string, decoded, in wire order. Raises MalformedInput."""
    if raw.count(b"&") >= MAX_PARAMETERS:
        raise MalformedInput(reason="too_many_parameters")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedInput(reason="not_utf8") from None
    if "+" in text:
        text = text.replace("+", " ")
    if "%" in text:
        # Neither character separates pairs nor belongs to an escape, so the commonest two escapes can go at once.
        text = text.replace("%3A", ":").replace("%2F", "/")
    found = []
    for pair in text.split("&"):
        name, _, value = pair.partition("=")
        if "%" in pair:
            name, value = _unescape(name), _unescape(value)
        if pair:
            found.append((name, value))
    return found


def _unescape(text: str) -> str:
    first, *rest = text.split("%")
    try:
        return first + "".join([_ASCII[part[:2]] + part[2:] for part in rest])
    except KeyError:
        return _unescape_unicode(text)


def _unescape_unicode(text: str) -> str:
    first, *rest = text.encode().split(b"%")
    try:
        return (first + b"".join([_OCTETS[part[:2]] + part[2:] for part in rest])).decode("utf-8")
    except KeyError:
        raise MalformedInput(reason="percent_escape") from None
    except UnicodeDecodeError:
        raise MalformedInput(reason="not_utf8") from None


def _first_wins(found: list[tuple[str, str]]) -> dict[str, str]:
    flat = dict(found)
    if len(flat) < len(found):
        flat.clear()
        for name, value in found:
            flat.setdefault(name, value)
    return flat


def _input(query: str) -> list[tuple[str, str]]:
    """Input parameters of a query string, which are not those of a presigned URL's signature."""
    return [pair for pair in pairs(octets(query)) if not pair[0].startswith("X-Amz-")]


def _form(request: Request) -> bytes:
    if len(request.body) > MAX_BODY_BYTES:
        raise BareAnswer(413)
    content_type = request.headers.get("Content-Type", "")
    if content_type.partition(";")[0].strip().lower() != FORM:
        raise _redirect("")
    return request.body


def _redirect(query: str) -> BareAnswer:
    """Where AWS sends browsers; what is no printable ASCII is escaped, because it becomes a header."""
    location = f"{REDIRECT}?{quote(octets(query), safe=_PRINTABLE)}" if query else REDIRECT
    return BareAnswer(302, headers=(("Location", location),))
