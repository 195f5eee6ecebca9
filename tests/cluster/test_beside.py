"""Work beside other work: it ends with it, and its failure is not lost."""

from __future__ import annotations

import asyncio

import pytest

from cluster.beside import beside


class Waiting:
    """Work that waits until it is ended."""

    def __init__(self) -> None:
        self.begun, self.ended = asyncio.Event(), False

    async def run(self) -> None:
        try:
            self.begun.set()
            await asyncio.Event().wait()
        finally:
            self.ended = True


async def test_it_goes_on_as_long_as_the_body():
    work = Waiting()
    async with beside(work.run()):
        await work.begun.wait()
        assert not work.ended
    assert work.ended


async def test_its_failure_ends_the_body_and_is_told():
    async def fail() -> None:
        raise ValueError("it cannot see")

    with pytest.raises(ExceptionGroup) as caught:
        async with beside(fail()):
            await asyncio.Event().wait()
    assert caught.group_contains(ValueError, match="it cannot see")


async def test_the_failure_of_the_body_ends_it_and_is_told():
    work = Waiting()

    async def fail_beside_it() -> None:
        async with beside(work.run()):
            await work.begun.wait()
            raise KeyError("the body")

    with pytest.raises(ExceptionGroup) as caught:
        await fail_beside_it()
    assert caught.group_contains(KeyError)
    assert work.ended
