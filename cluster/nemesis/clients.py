"""Clients of every region at once: they make sessions, revoke them, verify and use them, and write down what they saw.
(I/O)

Each client does one thing after the other, at a region drawn anew each time; nobody retries. Roles and session names
repeat, so that a cut-off finds sessions of before and after it; some sessions are chained from others. A good answer to
a revocation is followed at once by questions in its region, and elsewhere with its revocation token.
"""

from __future__ import annotations

import asyncio
import json
import re
from base64 import urlsafe_b64decode
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import aiohttp

from cluster.nemesis.history import Link, Operation, Outcome, Recorder, Session
from loadtest.places import Key, RoleProfile
from loadtest.signer import Signer, assume_role_body, get_caller_identity_body, key_of

REVOCATIONS, VERIFY = "/v1/revocations", "/v1/verify"
TIMEOUT_S = 2.0
THINK_S = 0.04
ASKED_AT_ONCE = 60
ASKED_AFTER_ACK = 20
ASKED_WITH_TOKEN, RETRY_S = 4, 0.1
"""How often a region is asked until it knows of a revocation."""
NAMES = 6
"""Session names of each role: few, so that they come again."""
DEPTH_MAX = 3
LAST_TOKENS = 30
WEIGHTS = {"issue": 6, "revoke": 3, "verify": 6, "use": 4}
KINDS = {"access_key": 20, "session": 4, "role": 1}
MEMBERS = {"access_key": "token", "session": "session_arn", "role": "role_arn"}
DEFINITE = frozenset({400, 403, 404, 413, 503})
"""Answers that say: nothing changed (contract 10)."""
_CODE = re.compile(rb"<Code>([^<]+)</Code>")


class Clients:
    """All clients of one history. `urls` are the nodes by region, `roles` what they assume, `admin` who may."""

    def __init__(
        self,
        urls: Mapping[str, str],
        roles: Sequence[str],
        admin: Key,
        session: aiohttp.ClientSession,
        recorder: Recorder,
        now: Callable[[], float],
        rng: Random,
    ) -> None:
        self._urls, self._roles, self._admin = urls, roles, admin
        self._session, self._recorder, self._now, self._rng = session, recorder, now, rng
        self._regions = [*urls]
        self._keys: dict[str, Key] = {}
        self._last_tokens: deque[str] = deque(maxlen=LAST_TOKENS)

    async def run(self, count: int, until: asyncio.Event) -> None:
        """`count` clients until the event; what they began is finished."""
        async with asyncio.TaskGroup() as tasks:
            for client in range(count):
                tasks.create_task(self._live(client, until))

    async def _live(self, client: int, until: asyncio.Event) -> None:
        actions = {"issue": self._issue, "revoke": self._revoke, "verify": self._verify, "use": self._use}
        while not until.is_set():
            (name,) = self._rng.choices([*WEIGHTS], [*WEIGHTS.values()])
            await actions[name if self._keys else "issue"](client)
            await asyncio.sleep(self._rng.expovariate(1 / THINK_S))

    # -- sessions ----------------------------------------------------------------------------------------------------

    async def _issue(self, client: int) -> None:
        """A session of a role, sometimes chained from another one: then that one was used, too."""
        region, parent = self._rng.choice(self._regions), ""
        if self._keys and self._rng.random() < 0.3:
            parent = self._any()
            if len(self._recorder.sessions[parent].ancestors) >= DEPTH_MAX:
                parent = ""
        key = self._keys[parent] if parent else self._admin
        own = self._recorder.sessions[parent].role if parent else ""  # a role may not assume itself unless it is named
        role = self._rng.choice([role for role in self._roles if role != own])
        body = assume_role_body(RoleProfile(role, "", key), f"s{self._rng.randrange(NAMES)}")
        used, answer = await self._call(client, region, key, body, parent)
        if used is not None and parent:
            self._recorder.add([used])
        made = key_of(answer)
        if made is not None and made.session_token is not None:
            self._recorder.sessions[made.access_key_id] = session_of(made.session_token, self._now())
            self._keys[made.access_key_id] = made

    def _any(self) -> str:
        """A session, more likely a young one."""
        keys = [*self._keys]
        return self._rng.choice(keys[-40:] if self._rng.random() < 0.6 else keys)

    async def _use(self, client: int) -> None:
        key = self._any()
        region = self._rng.choice(self._regions)
        used, _ = await self._call(client, region, self._keys[key], get_caller_identity_body(), key)
        self._recorder.add([used])

    async def _call(self, client: int, region: str, key: Key, body: bytes, session: str) -> tuple[Operation, bytes]:
        """A signed call with a session's credentials, as an operation, and its answer."""
        url = self._urls[region]
        began_at = self._now()
        outcome, status, content = await self._post(url, Signer(key, region, url).headers(body), body)
        found = _CODE.search(content)
        reason = found[1].decode() if found is not None else ""
        answered = status in (200, 400, 403) and (status == 200 or reason != "")
        done = Operation(
            "use", client, region, began_at, self._now(), "ok" if answered else outcome,
            session=session, accepted=status == 200, reason=reason,
        )  # fmt: skip
        return done, content

    # -- revoking ----------------------------------------------------------------------------------------------------

    async def _revoke(self, client: int) -> None:
        key = self._any()
        session, region = self._recorder.sessions[key], self._rng.choice(self._regions)
        (kind,) = self._rng.choices([*KINDS], [*KINDS.values()])
        subject = {"access_key": key, "session": session.arn, "role": session.role}[kind]
        content: dict[str, Any] = {MEMBERS[kind]: self._keys[key].session_token if kind == "access_key" else subject}
        if self._rng.random() < 0.15:
            content |= {"wait": "all", "timeout_s": 1}
        itself = kind == "access_key" and self._rng.random() < 0.3
        body = json.dumps(content).encode()
        signer = Signer(self._keys[key] if itself else self._admin, region, self._urls[region])
        began_at = self._now()
        outcome, status, answer = await self._post(
            self._urls[region] + REVOCATIONS, signer.json_headers(REVOCATIONS, body), body
        )
        told = json.loads(answer) if status == 200 else {}
        done = Operation(
            "revoke", client, region, began_at, self._now(), outcome, kind, subject,
            entry=(told["origin"], told["sequence"]) if told else ("", 0),
            copies=told.get("copies", 0), revocation_token=told.get("revocation_token", ""),
        )  # fmt: skip
        self._recorder.add([done])
        if told:
            await self._look_after(client, done)

    async def _look_after(self, client: int, done: Operation) -> None:
        """Ask in the region of an acknowledged revocation, and elsewhere with its token."""
        self._last_tokens.append(done.revocation_token)
        covered = [one.key for one in self._recorder.sessions.values() if done.subject in (one.key, one.arn, one.role)]
        covered = self._rng.sample(covered, min(ASKED_AFTER_ACK, len(covered)))  # at least the one that was meant
        elsewhere = self._rng.choice([region for region in self._regions if region != done.region])
        await self.ask(client, done.region, covered)
        for _ in range(ASKED_WITH_TOKEN):
            (one, *_) = await self.ask(client, elsewhere, covered, done.revocation_token)
            if one.outcome != "fail":
                return
            await asyncio.sleep(RETRY_S)

    # -- verifying ---------------------------------------------------------------------------------------------------

    async def _verify(self, client: int) -> None:
        keys = [*self._keys]
        if self._rng.random() < 0.5:
            keys = keys[-ASKED_AT_ONCE:]
        some = self._rng.sample(keys, min(ASKED_AT_ONCE, len(keys)))
        token = self._rng.choice([*self._last_tokens, ""]) if self._rng.random() < 0.2 else ""
        await self.ask(client, self._rng.choice(self._regions), some, token)

    async def ask(self, client: int, region: str, keys: Sequence[str], at_least: str = "") -> list[Operation]:
        """Verify sessions in a region: an operation for each; a single one without a session where nothing was said."""
        content: dict[str, Any] = {"tokens": [self._keys[key].session_token for key in keys]}
        body = json.dumps(content | ({"at_least": at_least} if at_least else {})).encode()
        began_at = self._now()
        headers = {"content-type": "application/json"}
        outcome, status, answer = await self._post(self._urls[region] + VERIFY, headers, body)
        one = Operation("verify", client, region, began_at, self._now(), outcome, at_least=at_least)
        done = [one]
        if status == 200:
            results = zip(keys, json.loads(answer)["results"], strict=True)
            done = [
                replace(one, session=key, accepted=told["active"], reason=told.get("reason", ""))
                for key, told in results
            ]
        self._recorder.add(done)
        return done

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[Outcome, int, bytes]:
        """Outcome, status (0 without an answer) and content."""
        try:
            async with self._session.post(url, data=body, headers=headers) as answer:
                content = await answer.read()
                known: Outcome = "ok" if answer.status == 200 else "fail" if answer.status in DEFINITE else "info"
                return known, answer.status, content
        except aiohttp.ClientConnectorError:
            return "fail", 0, b""
        except (aiohttp.ClientError, TimeoutError):
            return "info", 0, b""

    # -- in the end --------------------------------------------------------------------------------------------------

    @property
    def sessions(self) -> Sequence[str]:
        """The keys of all sessions."""
        return [*self._keys]


def session_of(token: str, known_at: float) -> Session:
    """What a session token tells of its session (contract 7)."""
    payload = token.split(".")[1]
    claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    ancestors = tuple(Link(*link) for link in claims["ancestors"])
    return Session(
        claims["access_key_id"], claims["sub"], claims["role"], claims["region"], claims["iat_ms"], known_at, ancestors
    )
