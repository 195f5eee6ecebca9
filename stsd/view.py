"""What a decision may look at: this node's region, directory, token keys, revocations and entropy.

One object per node; parts are swapped whole (a new directory, a new set of revocations), so that a request, which
runs without a pause, sees one state of each.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from stsd import policy
from stsd.directory import Directory, Role, User
from stsd.policy import NamedPolicy
from stsd.principal import Principal, Session
from stsd.revocation.replica import Replica
from stsd.revocation.revocation_set import RevocationSet
from stsd.tokens.cache import VerifiedTokens
from stsd.tokens.keyset import Entropy, KeySet

GLOBAL_ENDPOINT_REGION = "us-east-1"
"""The region that requests to the global endpoint are signed for (spec 5.1)."""
MAX_COMPILED_SESSION_POLICIES = 4096


@dataclass(slots=True)
class View:
    """State of one node as the pure core sees it. `entropy(n)` gives n random bytes."""

    region: str
    issuer: str
    directory: Directory
    keys: KeySet
    replica: Replica
    revocations: RevocationSet
    entropy: Entropy = field(repr=False)
    tokens: VerifiedTokens = field(init=False)
    _compiled: dict[str, NamedPolicy] = field(init=False, default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.tokens = VerifiedTokens(self.keys)

    def holder(self, principal: Principal) -> User | Role | None:
        """The user or role behind a principal by its stable id; None when it is gone (spec 2.4 step 4)."""
        if principal.kind == "assumed_role":
            return self.directory.roles_by_id.get(principal.unique_id)
        return self.directory.users_by_id.get(principal.unique_id)

    def session_policies(self, session: Session | None) -> tuple[NamedPolicy, ...] | None:
        """The policies that narrow a session, None when nothing does; managed ones are read live (spec 3.2.4).

        A managed policy that no longer exists allows nothing.
        """
        if session is None or not session.filtered:
            return None
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
