"""Nodes that the tests of rows of refusals share."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.running import RunningNode, running_node
from tests.server.rows import WORLD


@pytest.fixture(scope="module")
def nodes(tmp_path_factory) -> Iterator[dict[str, RunningNode]]:
    folder = tmp_path_factory.mktemp("rows")
    file = folder / "world.json"
    file.write_text(json.dumps(WORLD))
    with (
        running_node(folder / "node", "--world", str(file)) as node,
        running_node(folder / "opt_in", "--world", str(file), region="af-south-1") as opt_in,
        running_node(folder / "quota", "--world", str(file), "--quota", "1") as quota,
        running_node(folder / "clock", "--world", str(file), "--unsafe-test-hooks") as clock,
    ):
        yield {"node": node, "opt_in": opt_in, "quota": quota, "clock": clock}
