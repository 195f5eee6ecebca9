"""Who imports whom: the layers of stsd, kept by walking the syntax tree of every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LAYERS = (
    {"errors", "arn", "principal", "wildcards", "key_ids", "capacity", "regions", "tags", "quota", "saml", "mfa"},
    {"policy_values", "policy_variables", "policy_operators", "policy_principals", "policy_grammar", "policy"},
    {"directory"},
    {"oidc"},
    {"wire", "tokens", "revocation", "world"},
    {"provision", "view", "nats_layout", "nats_user"},
    {"authn", "authz"},
    {"verifier"},
    {"operations"},
    {"node"},
    {"config"},
    {"server"},
    {"app"},
    {"__main__", "__init__"},
)
"""From left to right: a module imports its own layer's folder, or layers before it."""
SHELL = {"server", "app", "config", "__main__"}
SHELL_MODULES = {Path("stsd/verifier/client.py")}
"""Single modules that do I/O in a package that does not."""
IMPURE = {
    "aiohttp", "aiosqlite", "asyncio", "http", "logging", "multiprocessing", "os", "random", "select", "signal",
    "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "urllib.request", "uvloop",
}  # fmt: skip


def does_io(path: Path) -> bool:
    """Whether a module of the laboratory says that it does: then it may."""
    return path.name == "__main__.py" or "(I/O)" in (ast.get_docstring(ast.parse(path.read_text())) or "")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def part(path: Path) -> str:
    """The folder or file below the package that a module belongs to."""
    return path.relative_to(ROOT).parts[1].removesuffix(".py")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


CORE = [path for path in modules("stsd") if part(path) not in SHELL and path.relative_to(ROOT) not in SHELL_MODULES]


def layer(name: str) -> int:
    return next(rank for rank, names in enumerate(LAYERS) if name in names)


@pytest.mark.parametrize("path", modules("stsd"), ids=name)
def test_a_module_imports_nothing_to_its_right_and_no_neighbour(path):
    own = part(path)
    for module in imports(path):
        parts = module.split(".")
        if (
            parts[0] == "stsd"
            and len(parts) > 1
            and (ROOT / "stsd" / parts[1]).exists() | (ROOT / "stsd" / f"{parts[1]}.py").exists()
        ):
            same_part = parts[1] == own
            nouns = layer(own) == layer(parts[1]) <= 1
            assert same_part or nouns or layer(parts[1]) < layer(own), f"{path.name} imports {module}"


@pytest.mark.parametrize("path", CORE, ids=name)
def test_the_core_does_no_io(path):
    for module in imports(path):
        assert module.split(".")[0] not in IMPURE, f"{path.name} imports {module}"
        assert module not in IMPURE, f"{path.name} imports {module}"


@pytest.mark.parametrize("path", [p for p in modules("cluster") if not does_io(p)], ids=name)
def test_the_pure_part_of_the_laboratory_does_no_io(path):
    for module in imports(path):
        assert module.split(".")[0] not in IMPURE - {"os", "random"}, f"{path.name} imports {module}"


@pytest.mark.parametrize("path", modules("cluster"), ids=name)
def test_the_laboratory_never_reaches_into_a_nodes_shell(path):
    for module in imports(path):
        assert not module.startswith(("stsd.server", "stsd.app", "stsd.config")), f"{path.name} imports {module}"


@pytest.mark.parametrize("path", [*modules("stsd"), *modules("cluster"), *modules("loadtest")], ids=name)
def test_nothing_imports_the_tests(path):
    assert not any(module.split(".")[0] == "tests" for module in imports(path))


@pytest.mark.parametrize("path", modules("stsd"), ids=name)
def test_a_node_knows_nothing_of_clusters_and_load(path):
    assert not any(module.split(".")[0] in ("cluster", "loadtest") for module in imports(path))
