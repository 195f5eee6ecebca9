"""Names whose look-up hangs: no other name waits for them, and neither does the end of the loop."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from threading import Event, Thread

import pytest

from stsd.oidc.known_keys import Source
from stsd.server import name_lookups, provider_documents
from stsd.server.name_lookups import NameLookups
from stsd.server.provider_documents import Documents, FetchError
from tests.cluster.fake_regions import eventually
from tests.running import ROOT
from tests.server.identity_providers import serving

REAL = socket.getaddrinfo


class System:
    """The system's look-up: names below `hung.example` are not answered until `release`."""

    def __init__(self) -> None:
        self.released, self.asked, self.answers = Event(), [], [[("192.0.2.1", 0)]]

    def getaddrinfo(self, host, port, family=0, *more, **named):
        self.asked.append(host)
        if host.endswith("hung.example"):
            self.released.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        if host.endswith("good.example"):
            found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            kinds = [socket.AF_INET6 if len(address) == 4 else socket.AF_INET for address in found]
            return [(kind, socket.SOCK_STREAM, 6, "", address) for kind, address in zip(kinds, found, strict=True)]
        return REAL(host, port, family, *more, **named)


@pytest.fixture
def system(monkeypatch) -> Iterator[System]:
    made = System()
    monkeypatch.setattr(socket, "getaddrinfo", made.getaddrinfo)
    yield made
    made.released.set()


async def begin(names: NameLookups, system: System, *hosts: str) -> list[asyncio.Task]:
    tasks = [asyncio.create_task(names.resolve(host, 443)) for host in hosts]
    await eventually(lambda: {*hosts} <= {*system.asked})
    return tasks


async def test_a_name_is_found_while_others_hang_and_a_fetch_goes_to_it(system):
    """The system's look-ups are many more here than the threads that an event loop has for them."""
    names = NameLookups()
    hanging = await begin(names, system, *(f"{n}.hung.example" for n in range(40)))
    assert [entry["host"] for entry in await names.resolve("good.example", 443)] == ["192.0.2.1"]
    async with serving() as provider:
        url = provider.url.replace("127.0.0.1", "localhost")
        provider.url = url
        assert (await Documents(resolver=names).fetch(Source(url, True, ()))).keys
    assert not any(task.done() for task in hanging)
    system.released.set()
    results = await asyncio.gather(*hanging, return_exceptions=True)
    assert all(isinstance(result, socket.gaierror) for result in results)


async def test_a_fetch_whose_name_hangs_ends_in_time(system, monkeypatch):
    monkeypatch.setattr(provider_documents, "FETCH_TIMEOUT_S", 0.05)
    with pytest.raises(FetchError, match="no whole answer within"):
        await Documents().fetch(Source("https://a.hung.example", False, ()))


async def test_a_name_that_hangs_is_looked_up_once_however_often_it_is_asked_for(system):
    names = NameLookups()
    for _ in range(5):
        (task,) = await begin(names, system, "a.hung.example")
        task.cancel()
    assert system.asked == ["a.hung.example"]


async def test_what_was_found_is_not_kept(system):
    names = NameLookups()
    system.answers = [[("192.0.2.1", 0)], [("192.0.2.2", 0), ("2001:db8::1", 0, 0, 0), ("fe80::1", 0, 0, 3)]]
    assert [entry["host"] for entry in await names.resolve("good.example", 443)] == ["192.0.2.1"]
    again = await names.resolve("good.example", 8443)
    assert [entry["host"] for entry in again] == ["192.0.2.2", "2001:db8::1", "fe80::1%3"]
    assert {(entry["hostname"], entry["port"]) for entry in again} == {("good.example", 8443)}


async def test_more_names_than_may_hang_are_refused_until_there_is_room(system, monkeypatch):
    monkeypatch.setattr(name_lookups, "MAX_LOOKUPS", 2)
    names = NameLookups()
    hanging = await begin(names, system, "a.hung.example", "b.hung.example")
    with pytest.raises(OSError, match="2 other names are"):
        await names.resolve("good.example")
    with pytest.raises(FetchError, match="2 other names are") as refused:
        await Documents(resolver=names).fetch(Source("https://good.example", False, ()))
    assert refused.value.failure == "unreachable"
    system.released.set()
    await asyncio.gather(*hanging, return_exceptions=True)
    assert await names.resolve("good.example")


async def test_where_no_thread_can_be_started_a_name_is_refused_and_found_when_one_can(system, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    names = NameLookups()
    with monkeypatch.context() as crowded:
        crowded.setattr(Thread, "start", refuse)
        with pytest.raises(OSError, match="is not looked up: can't start new thread"):
            await names.resolve("good.example", 443)
        with pytest.raises(FetchError, match="can't start new thread") as refused:
            await Documents(resolver=names).fetch(Source("https://good.example", False, ()))
        assert refused.value.failure == "unreachable"
    assert await names.resolve("good.example", 443)


async def test_a_name_that_is_none_is_an_error_like_any_other():
    with pytest.raises(UnicodeError):
        await NameLookups().resolve("a" * 64 + ".example")


ENDS = """
import asyncio, socket, threading, uvloop
from stsd.server.name_lookups import NameLookups
begun = threading.Event()

def hang(*_, **__):
    begun.set()
    threading.Event().wait()

async def main():
    task = asyncio.create_task(NameLookups().resolve("hung.example"))
    while not begun.is_set():
        await asyncio.sleep(0)

socket.getaddrinfo = hang
uvloop.run(main())
print("ended")
"""


def test_neither_the_loop_nor_the_process_waits_for_a_name_that_hangs():
    done = subprocess.run([sys.executable, "-c", ENDS], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")
