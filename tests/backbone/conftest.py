"""One world of three regions for each engine; whatever a test breaks, it mends."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.backbone import regions
from tests.backbone.regions import ENGINES, World


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENGINES)
async def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    engine = request.param
    if reason := regions.missing(engine):
        if os.environ.get("STSD_REQUIRE_ALL"):
            pytest.fail(f"STSD_REQUIRE_ALL is set and {reason}")
        pytest.skip(reason)
    before = os.environ.get(regions.brokers.PROGRAM)
    regions.use(engine)
    made = World(tmp_path_factory.mktemp(engine) / "data", engine)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()
        os.environ.pop(regions.brokers.PROGRAM, None)
        if before is not None:
            os.environ[regions.brokers.PROGRAM] = before
        regions.brokers.program.cache_clear()
