"""When keys are fetched, for whom, and how long they are used: the keeper with a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from multidict import CIMultiDict

from stsd.oidc.jwks import VerificationKeys
from stsd.oidc.known_keys import Source, source_of
from stsd.server import provider_keys
from stsd.server.clock import Clock
from stsd.server.connection import Head
from stsd.server.gateway import Gateway
from stsd.server.log import EventLog
from stsd.server.metrics import Metrics
from stsd.server.provider_documents import Fetched, FetchError
from stsd.server.provider_keys import ProviderKeys
from stsd.wire.messages import Request, Response
from tests.oidc import asking
from tests.oidc.issuing import ISSUER, NOW, claims, jwk, jwks, provider, rsa, signed, token, trust
from tests.world.worlds import ACME, GLOBEX, account, world

OTHER = "https://other.example.com"
BUILDER = {"RoleName": "builder", "Path": "/ci/", "AssumeRolePolicyDocument": trust()}
WORLD = world(account(OpenIDConnectProviders=[provider(), provider(OTHER)], Roles=[BUILDER]))


class Fetches:
    """Fetches that the test answers, a clock that it moves, and what was told."""

    def __init__(self, view) -> None:
        self.view, self.now = view, 1000.0
        self.waiting: dict[Source, asyncio.Future[Fetched]] = {}
        self.count: dict[str, int] = {}
        self.told: list[tuple[str, str]] = []
        self.sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self.keeper = ProviderKeys(
            view, self.fetch, lambda event, **more: self.told.append((event, more["issuer"])),
            steady=lambda: self.now, chance=lambda: 0.0, sleep=self.sleep,
        )  # fmt: skip

    async def fetch(self, source: Source) -> Fetched:
        self.count[source.url] = self.count.get(source.url, 0) + 1
        future = self.waiting[source] = asyncio.get_running_loop().create_future()
        return await future

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.now + seconds, future))
        await future

    async def answer(self, url: str = ISSUER, *keys, fresh_s: int = 3600) -> None:
        keys = keys or (jwk(rsa()),)
        self._of(url).set_result(Fetched(VerificationKeys(jwks(*keys)), fresh_s))
        await settle()

    async def fail(self, url: str = ISSUER) -> None:
        self._of(url).set_exception(FetchError("unreachable", "down"))
        await settle()

    async def advance(self, seconds: float) -> None:
        self.now += seconds
        due = [future for at, future in self.sleepers if at <= self.now]
        self.sleepers = [(at, future) for at, future in self.sleepers if at > self.now]
        for future in due:
            future.set_result(None)
        await settle()

    def under_way(self, url: str = ISSUER) -> bool:
        return any(source.url == url for source in self.waiting)

    def held(self):
        (found,) = [found for found in self.view.directory.oidc_providers.values() if found.url == ISSUER]
        return self.view.provider_keys.of(found)

    @property
    def provider(self):
        return next(found for found in self.view.directory.oidc_providers.values() if found.url == ISSUER)

    def _of(self, url: str) -> asyncio.Future[Fetched]:
        (source,) = [source for source in self.waiting if source.url == url]
        return self.waiting.pop(source)


async def settle() -> None:
    """Let everything that can go on go on."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def fetches():
    made = Fetches(asking.node_of(WORLD).view)
    made.keeper.start()
    await settle()
    yield made
    await made.keeper.stop()


async def test_all_providers_are_fetched_at_the_start_and_again_when_no_longer_fresh(fetches):
    assert fetches.count == {ISSUER: 1, OTHER: 1}
    await fetches.answer(fresh_s=600)
    await fetches.advance(599)
    assert fetches.count[ISSUER] == 1
    await fetches.advance(1)
    assert fetches.count[ISSUER] == 2


async def test_old_keys_are_used_while_new_ones_are_fetched_and_for_a_day_after_that_fails(fetches):
    await fetches.answer(fresh_s=600)
    fetched_at, old = fetches.now, fetches.held()
    await fetches.advance(600)
    while fetches.now < fetched_at + provider_keys.STALE_S:
        assert fetches.held() is old
        await fetches.fail()
        await fetches.advance(min(at for at, _ in fetches.sleepers) - fetches.now)
    assert fetches.now == fetched_at + provider_keys.STALE_S
    await fetches.fail()
    assert fetches.held() == "unreachable"
    assert [event for event, issuer in fetches.told if issuer == ISSUER] == [
        "provider_keys_fetched", "provider_keys_failed",
    ]  # fmt: skip


async def test_failures_are_tried_again_less_and_less_often(fetches):
    waits = []
    for _ in range(8):
        await fetches.fail()
        waits.append(min(at for at, _ in fetches.sleepers) - fetches.now)
        await fetches.advance(waits[-1])
    assert waits == [10, 20, 40, 80, 160, 300, 300, 300]


async def test_one_fetch_for_all_who_ask_at_once(fetches):
    asking_now = [asyncio.create_task(fetches.keeper.refresh(fetches.provider)) for _ in range(50)]
    await settle()
    assert fetches.count[ISSUER] == 1
    assert not any(task.done() for task in asking_now)
    await fetches.answer()
    assert all(task.done() for task in asking_now)


async def test_who_asks_soon_after_a_fetch_gets_no_other_one(fetches):
    await fetches.answer()
    await fetches.keeper.refresh(fetches.provider)
    await fetches.advance(provider_keys.FLOOR_S - 0.1)
    await fetches.keeper.refresh(fetches.provider)
    assert fetches.count[ISSUER] == 1
    await fetches.advance(0.1)
    asked = asyncio.create_task(fetches.keeper.refresh(fetches.provider))
    await settle()
    assert fetches.count[ISSUER] == 2
    await fetches.answer()
    await asked


async def test_where_there_are_no_keys_at_all_one_may_ask_sooner(fetches):
    await fetches.fail()
    await fetches.keeper.refresh(fetches.provider)
    assert fetches.count[ISSUER] == 1
    await fetches.advance(provider_keys.EMPTY_FLOOR_S)
    asked = asyncio.create_task(fetches.keeper.refresh(fetches.provider))
    await settle()
    assert fetches.count[ISSUER] == 2
    await fetches.answer()
    await asked


async def only_one_waits(fetches):
    first = asyncio.create_task(fetches.keeper.refresh(fetches.provider))
    await settle()
    await fetches.keeper.refresh(fetches.provider)
    assert not first.done()
    await fetches.answer()
    assert first.done()


async def test_so_many_wait_and_the_others_do_not(fetches, monkeypatch):
    monkeypatch.setattr(provider_keys, "MAX_WAITING", 1)
    await only_one_waits(fetches)


async def test_fewer_wait_for_one_that_failed(fetches, monkeypatch):
    monkeypatch.setattr(provider_keys, "MAX_PATIENT", 1)
    await fetches.fail()
    await fetches.advance(provider_keys.EMPTY_FLOOR_S)
    await only_one_waits(fetches)


async def test_a_wait_ends_before_the_fetch_does(fetches, monkeypatch):
    monkeypatch.setattr(provider_keys, "KEYS_WAIT_S", 0.01)
    await fetches.keeper.refresh(fetches.provider)
    assert fetches.under_way()


async def test_one_that_failed_holds_nobody_as_long_again_and_is_trusted_once_it_answers(fetches, monkeypatch):
    monkeypatch.setattr(provider_keys, "PATIENCE_S", 0.01)
    await fetches.fail()
    await fetches.advance(provider_keys.EMPTY_FLOOR_S)
    await fetches.keeper.refresh(fetches.provider)
    assert fetches.under_way()
    await fetches.answer()
    await fetches.advance(provider_keys.FLOOR_S)
    monkeypatch.setattr(provider_keys, "PATIENCE_S", 0.0)
    asked = asyncio.create_task(fetches.keeper.refresh(fetches.provider))
    await settle()
    assert not asked.done()
    await fetches.answer()
    await asked


async def test_providers_that_hang_again_delay_none_that_is_well(monkeypatch):
    monkeypatch.setattr(provider_keys, "MAX_FETCHES", 2)
    hung = [f"https://hung{n}.example.com" for n in range(3)]
    fetches = Fetches(asking.node_of(world(account(OpenIDConnectProviders=[*map(provider, [*hung, ISSUER])]))).view)
    fetches.keeper.start()
    await settle()
    while any(map(fetches.under_way, hung)):
        await fetches.fail(next(filter(fetches.under_way, hung)))
    await fetches.answer(fresh_s=10)
    await fetches.advance(provider_keys.RETRY_S)
    assert sum(map(fetches.under_way, hung)) == 2
    assert fetches.under_way()
    await fetches.answer()
    assert fetches.held().find("k1")
    await fetches.keeper.stop()


async def test_a_client_that_goes_away_does_not_end_the_fetch_of_others(fetches):
    first, second = (asyncio.create_task(fetches.keeper.refresh(fetches.provider)) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    await fetches.answer()
    assert second.done()
    assert not second.cancelled()


async def test_what_one_account_allows_lets_no_keys_into_another():
    accounts = (
        account(OpenIDConnectProviders=[provider(AllowPrivateAddress=True)], Roles=[BUILDER]),
        account(GLOBEX, OpenIDConnectProviders=[provider()]),
    )
    fetches = Fetches(asking.node_of(world(*accounts)).view)
    fetches.keeper.start()
    await settle()
    assert {source.allow_private_address for source in fetches.waiting} == {True, False}
    mine, theirs = (
        next(found for found in fetches.view.directory.oidc_providers.values() if found.account == id_)
        for id_ in (ACME, GLOBEX)
    )
    fetches.waiting.pop(source_of(mine)).set_result(Fetched(VerificationKeys(jwks(jwk(rsa()))), 600))
    await settle()
    assert fetches.view.provider_keys.of(mine) is not None
    assert fetches.view.provider_keys.of(theirs) is None
    await fetches.keeper.stop()


# With a gateway in front: who waits, and who does not.


@pytest.fixture
def gateway(fetches, monkeypatch) -> Iterator[Gateway]:
    view = fetches.view
    monkeypatch.setattr(Clock, "read", lambda self: (NOW, NOW))
    log = EventLog("us-east-1", "json")
    metrics = Metrics(lambda: view.keys, dict, list, dict, lambda: NOW)

    async def present(request: Request) -> Response:
        raise AssertionError("no MFA code was given")

    made = Gateway(asking.Node(view, b"k" * 32), Clock(), metrics, log, present=present, secure=False)
    made.fetch_keys = fetches.keeper.refresh
    yield made
    log.close()


def head() -> Head:
    headers = CIMultiDict({"content-type": "application/x-www-form-urlencoded"})
    return Head("POST", "/", headers, "127.0.0.1", True)


def asked(text: str) -> tuple[Head, bytes]:
    return head(), asking.request(text).body


async def test_a_request_waits_for_its_issuer_and_no_other_request_does(fetches, gateway):
    """While an issuer hangs, everything else is answered at once, on the way without a task."""
    assert gateway.at_once(*asked(token())) is None
    waiting = [asyncio.create_task(gateway.in_time(*asked(token()))) for _ in range(3)]
    await settle()
    assert not any(task.done() for task in waiting)
    for _ in range(3):
        anonymous = gateway.at_once(head(), b"Action=GetCallerIdentity&Version=2011-06-15")
        assert anonymous is not None
        assert b"MissingAuthenticationToken" in anonymous
        refused = gateway.at_once(*asked(token(aud="stranger")))
        assert refused is not None
    await fetches.answer()
    assert [b"HTTP/1.1 200" in task.result() for task in waiting] == [True] * 3
    assert fetches.count[ISSUER] == 1


async def test_with_known_keys_it_is_answered_at_once(fetches, gateway):
    await fetches.answer()
    answer = gateway.at_once(*asked(token()))
    assert answer is not None
    assert answer.startswith(b"HTTP/1.1 200")


async def test_a_new_key_is_fetched_for_the_first_token_that_names_it(fetches, gateway):
    await fetches.answer()
    await fetches.advance(provider_keys.FLOOR_S)
    new = signed(claims(), rsa("new"), kid="k2")
    assert gateway.at_once(*asked(new)) is None
    waiting = asyncio.create_task(gateway.in_time(*asked(new)))
    await settle()
    assert not waiting.done()
    assert gateway.at_once(*asked(token())) is not None
    await fetches.answer(ISSUER, jwk(rsa()), jwk(rsa("new"), "k2"))
    assert waiting.result().startswith(b"HTTP/1.1 200")
    assert gateway.at_once(*asked(new)) is not None


async def test_a_kid_that_nobody_has_is_refused_without_a_fetch_until_the_floor_is_over(fetches, gateway):
    await fetches.answer()
    unknown = asked(signed(claims(), rsa("new"), kid="made up"))
    for _ in range(20):
        assert b"InvalidIdentityToken" in await gateway.in_time(*unknown)
    assert fetches.count[ISSUER] == 1


async def test_an_issuer_that_is_down_is_told_as_such(fetches, gateway):
    await fetches.fail()
    assert b"<Code>IDPCommunicationError</Code>" in await gateway.in_time(*asked(token()))
