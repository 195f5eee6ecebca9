"""What a decision may look at: this node's region, directory, token keys, revocations and entropy.

One object per node; parts are swapped whole (a new directory, a new set of revocations), so that a request, which
runs without a pause, sees one state of each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from stsd import policy
from stsd.directory import Directory, Holder
from stsd.errors import ServiceUnavailable
from stsd.mfa import UsedCodes
from stsd.oidc.known_keys import KnownKeys
from stsd.policy import NamedPolicy
from stsd.principal import Caller, Principal, Session
from stsd.regions import OPT_IN_REGIONS
from stsd.revocation.instants import Instants
from stsd.revocation.replica import Replica
from stsd.revocation.revocation_set import RevocationSet
from stsd.revocation.staleness import DEGRADED, SHORT_SESSION_S, Level, Limits
from stsd.tokens import credentials
from stsd.tokens.cache import VerifiedTokens
from stsd.tokens.credentials import Credentials, Grant
from stsd.tokens.keyset import Entropy, KeySet

GLOBAL_ENDPOINT_REGION = "us-east-1"
"""The region that requests to the global endpoint are signed for (spec 5.1)."""
MAX_COMPILED_SESSION_POLICIES = 4096
CLOCK_WRONG = "The clock of this region is wrong: it issues no sessions until it is set right. Use another region."
LOOK_EVERY_S = 0.01
"""How long a staleness is believed: working it out walks all origins, and every request needs it."""


@dataclass(slots=True)
class View:
    """State of one node as the pure core sees it. `entropy(n)` gives n random bytes; `message_key` is that of encoded
    authorization messages.

    `staleness_s` is that of the origin known worst when `look` was last called, `level` what follows from it.
    `clock_wrong_by_s` is None unless this node's clock is known to be wrong (stsd.revocation.peer_clocks).
    """

    region: str
    issuer: str
    directory: Directory
    keys: KeySet
    replica: Replica
    revocations: RevocationSet
    entropy: Entropy = field(repr=False)
    limits: Limits = field(default_factory=Limits)
    instants: Instants = field(default_factory=Instants)
    mfa: UsedCodes = field(default_factory=UsedCodes)
    message_key: bytes = field(default=b"", repr=False)
    provider_keys: KnownKeys = field(default_factory=KnownKeys, repr=False)
    staleness_s: float = field(init=False, default=0.0)
    level: Level = field(init=False, default="fresh")
    clock_wrong_by_s: float | None = field(init=False, default=None)
    _looked_at: float = field(init=False, default=-math.inf, repr=False)
    tokens: VerifiedTokens = field(init=False)
    _compiled: dict[str, NamedPolicy] = field(init=False, default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.tokens = VerifiedTokens(self.keys)

    def look(self, wall_now: float) -> None:
        """Take in how stale the revocations are, at real time `wall_now` (Unix seconds)."""
        if 0 <= wall_now - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = wall_now
        self.staleness_s = self.replica.oldest_staleness(wall_now)
        self.level = self.limits.level(self.staleness_s)

    def check_joined(self) -> None:
        """Raises ServiceUnavailable on a node that joins and has not caught up once: any credential may be revoked, for
        all that it knows. One that merely has not heard of others for long knows what it knew (contract 10)."""
        if not self.replica.joined:
            raise ServiceUnavailable("This node has not caught up yet", reason="not_joined")

    @property
    def degraded(self) -> str:
        """What staleness makes worse here, empty when nothing: see stsd.revocation.staleness."""
        return DEGRADED[self.level]

    def session_s(self, duration_s: int) -> int:
        """How long a session of `duration_s` may be: shorter where a revocation might be missed (contract 10). Raises
        ServiceUnavailable where none may be issued, because cut-offs would not hold for it (design 2.1)."""
        if self.clock_wrong_by_s is not None:
            raise ServiceUnavailable(CLOCK_WRONG, reason="clock_wrong")
        return min(duration_s, SHORT_SESSION_S) if self.level == "hard" else duration_s

    def issue(self, grant: Grant, caller: Caller, now: float) -> Credentials:
        """New credentials, issued here at `now` (Unix seconds)."""
        return credentials.issue(
            grant,
            caller,
            keys=self.keys,
            issuer=self.issuer,
            region=self.region,
            entropy=self.entropy,
            now=now,
            issued_at_ms=self.instants.issue(now),
        )

    def is_open_to(self, account: str) -> bool:
        """Whether an account may use this region: an opt-in region only once it has enabled it (spec 5.4)."""
        if self.region not in OPT_IN_REGIONS:
            return True
        found = self.directory.accounts.get(account)
        return found is not None and self.region in found.enabled_regions

    def holder(self, principal: Principal) -> Holder | None:
        """The user or role behind a principal by its stable id; None when it is gone (spec 2.4 step 4)."""
        if principal.kind == "assumed_role":
            return self.directory.roles_by_id.get(principal.unique_id)
        user = self.directory.users_by_id.get(principal.unique_id)
        return self.directory.root_users.get(principal.unique_id) if user is None else user

    def session_policies(self, session: Session | None) -> tuple[NamedPolicy, ...] | None:
        """The policies that narrow a session, None when nothing does; managed ones are read live (spec 3.2.4).

        A managed policy that no longer exists allows nothing.
        """
        if session is None:
            return None
        if not session.filtered:
            # A federated user without session policies may do nothing by identity policies (spec 3.6).
            return () if session.principal.kind == "federated_user" else None
        managed = (self.directory.managed_policy(arn) for arn in session.session_policy_arns)
        return (*map(self._compile, session.session_policies), *(found for found in managed if found is not None))

    def _compile(self, text: str) -> NamedPolicy:
        """Compile a session policy once per node, not per request; the oldest of a bounded number is forgotten."""
        compiled = self._compiled.get(text)
        if compiled is None:
            compiled = NamedPolicy("session policy", policy.parse(text, "session"))
            if len(self._compiled) >= MAX_COMPILED_SESSION_POLICIES:
                del self._compiled[next(iter(self._compiled))]
            self._compiled[text] = compiled
        return compiled
