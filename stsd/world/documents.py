"""Text → world document: YAML or JSON, read so that nothing is guessed and nothing can hang.

Rules:
1. JSON is tried for text that begins with `{` and for files called `.json`; everything else is YAML.
2. Plain YAML scalars follow the core schema of YAML 1.2: a date like 2012-10-17 and `no` stay text, keys always are.
3. A key twice in one object is a fault, as are YAML tags, merge keys and several documents in one file.
4. Aliases may be used; what they repeat is bounded, so that a small file cannot become a large world.
5. The result is JSON-able: text is valid Unicode, numbers are finite and of 64 bits, nesting is bounded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from math import isfinite
from typing import Any, Never

import yaml

from stsd.world.faults import Fault, Path, WorldError

MAX_DEPTH = 64
MAX_REPEATED_CHARACTERS = 1_000_000
"""What all aliases of a file together may repeat; a thousand roles with a shared trust policy need half of it."""
_INTEGERS = range(-(2**63), 2**64)
_MAX_DIGITS = 30
_TAG = "tag:yaml.org,2002:"
_YAML_FAULTS = (yaml.YAMLError, ValueError, OverflowError, IndexError, RecursionError)
"""PyYAML raises more than its own errors: chr() on an escape that is no character, int() on a huge version."""


def _integer(text: str) -> int:
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


_CORE_SCHEMA: dict[str, tuple[re.Pattern[str], str, Callable[[str], Any]]] = {
    f"{_TAG}null": (re.compile(r"(~|null|Null|NULL|)\Z"), "~nN", lambda text: None),
    f"{_TAG}bool": (re.compile(r"(true|True|TRUE|false|False|FALSE)\Z"), "tTfF", lambda text: text[0] in "tT"),
    f"{_TAG}int": (re.compile(r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"), "-+0123456789", _integer),
    f"{_TAG}float": (
        re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z"),
        "-+.0123456789",
        float,
    ),
    f"{_TAG}str": (re.compile(r""), "", str),
}
"""Tag → what a scalar of it looks like, the characters that it begins with when it is plain, and its value."""


def load(text: str, source: str) -> dict[str, Any]:
    """The document in `text`; `source`, the file's name, tells JSON from YAML. Raises WorldError.

    Only the syntax is looked at here; `check` and `materialise` look at what the document says.
    """
    document = _from_json(text, source) if _looks_like_json(text, source) else _from_yaml(text)
    faults = list(not_plain(document))
    if faults:
        raise WorldError(faults)
    if not isinstance(document, dict):
        raise WorldError([Fault((), "is not an object with the field Accounts")])
    return document


def not_plain(value: object, path: Path = ()) -> Iterator[Fault]:
    """Faults of everything in a document that JSON could not carry (rule 5)."""
    if len(path) > MAX_DEPTH:
        yield Fault(path[:6], f"is nested more than {MAX_DEPTH} levels deep")
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not _is_unicode(key):
                yield Fault(path, f"has the key {key!r}, which is not text")
            else:
                yield from not_plain(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from not_plain(item, (*path, index))
    else:
        yield from _not_a_plain_scalar(value, path)


def _not_a_plain_scalar(value: object, path: Path) -> Iterator[Fault]:
    if isinstance(value, str):
        if not _is_unicode(value):
            yield Fault(path, "holds half of a surrogate pair, which is not a character")
    elif isinstance(value, int):
        if value not in _INTEGERS:
            yield Fault(path, "is too large for a number; quote it")
    elif isinstance(value, float):
        if not isfinite(value):
            yield Fault(path, "is not a finite number")
    elif value is not None:
        yield Fault(path, f"is a {type(value).__name__}, which is neither JSON nor YAML")


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text) if not text.isascii() else True


def _looks_like_json(text: str, source: str) -> bool:
    return source.endswith(".json") or text.lstrip().startswith("{")


# JSON


class _WithRepeats(dict[str, Any]):
    """An object that names a key twice; kept apart so that the fault can tell the path."""

    repeated: tuple[str, ...] = ()


def _from_json(text: str, source: str) -> object:
    try:
        document = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant, parse_int=_json_integer)
    except json.JSONDecodeError as error:
        if not source.endswith(".json"):
            return _from_yaml(text)  # A YAML file may begin with `{` too.
        raise _syntax_error(error.lineno, error.colno, error.msg) from None
    except (ValueError, RecursionError) as error:
        raise WorldError([Fault((), f"is not usable JSON: {_reason(error)}")]) from None
    repeats = list(_repeats(document, ()))
    if repeats:
        raise WorldError(repeats)
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    marked, seen = _WithRepeats(found), set[str]()
    marked.repeated = tuple(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return marked


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is not a number of JSON")


def _json_integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits is too large; quote it")
    return int(text)


def _repeats(value: object, path: Path) -> Iterator[Fault]:
    if len(path) > MAX_DEPTH:
        return
    if isinstance(value, _WithRepeats):
        for key in value.repeated:
            yield Fault((*path, key), "is given more than once in the same object")
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in items:
        yield from _repeats(item, (*path, step))


# YAML


class _CoreLoader(yaml.SafeLoader):
    """PyYAML's parser with the plain scalars of rule 2."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as in the base class


for _tag, (_pattern, _first, _) in _CORE_SCHEMA.items():
    if _first:
        _CoreLoader.add_implicit_resolver(_tag, _pattern, [*_first, *([""] if _pattern.match("") else [])])


def _from_yaml(text: str) -> object:
    try:
        node = yaml.compose(text, Loader=_CoreLoader)
        reader = _Reader()
        document = None if node is None else reader.read(node, (), 0)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise WorldError([Fault((), f"the character U+{ord(text[error.position]):04X} is not allowed", line)]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _syntax_error(*place, error.problem or "is not YAML") from None
    except _YAML_FAULTS as error:
        raise WorldError([Fault((), f"is not usable YAML: {_reason(error)}")]) from None
    if reader.faults:
        raise WorldError(reader.faults)
    return document


class _Reader:
    """YAML nodes → plain values. What an alias repeats is paid from a budget."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._seen: set[int] = set()
        self._repeated = 0

    def read(self, node: yaml.Node, path: Path, depth: int) -> Any:
        """The value of a node; None where a fault was noted. Raises ValueError when the budget is spent."""
        if depth > MAX_DEPTH:
            raise ValueError(f"line {_line(node)} is nested more than {MAX_DEPTH} levels deep")
        self._pay(node)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self.read(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in _CORE_SCHEMA:
            return self._scalar(node, path)
        return self._fault(path, node, f"has the tag {node.tag}, which is not supported")

    def _pay(self, node: yaml.Node) -> None:
        if id(node) in self._seen:
            self._repeated += len(node.value) + 1
        self._seen.add(id(node))
        if self._repeated > MAX_REPEATED_CHARACTERS:
            raise ValueError("its aliases repeat too much; write it out or give JSON")

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._fault(path, key_node, "has a list or an object for a key")
                continue
            key = str(key_node.value)
            if key == "<<" and key_node.style is None:
                self._fault((*path, key), key_node, "is a merge key, which is not supported; repeat the fields")
            elif key in found:
                self._fault((*path, key), key_node, "is given more than once in the same object")
            else:
                found[key] = self.read(value_node, (*path, key), depth + 1)
        return found

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        pattern, _, convert = _CORE_SCHEMA[node.tag]
        if not pattern.match(node.value):
            return self._fault(path, node, f"is not what its tag {node.tag} says")
        if convert is not str and len(node.value) > _MAX_DIGITS:
            return self._fault(path, node, "is too large for a number; quote it")
        return convert(node.value)

    def _fault(self, path: Path, node: yaml.Node, message: str) -> None:
        self.faults.append(Fault(path, f"{message} (line {_line(node)})"))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _syntax_error(line: int, column: int, problem: str) -> WorldError:
    return WorldError([Fault((), f"column {column}: {problem}", line)])


def _reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
