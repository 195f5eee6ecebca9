"""Policy documents: read once, compiled, immutable (spec 4.1).

    policy = { Version?: "2008-10-17" | "2012-10-17", Id?: text, Statement: stmt | [stmt…] }

Three kinds: identity policies (inline, managed, of groups), the trust policies of roles, and session policies. They
differ in which elements they must and may not have, and session policies let malformed literals stand (spec 3.2.5).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NoReturn

from stsd import policy_grammar, policy_principals
from stsd.policy_grammar import SYNTAX, Condition, Effect, Kind, PolicyError, Statement
from stsd.policy_operators import Dialect
from stsd.policy_principals import InvalidPrincipalError

__all__ = [
    "ADMINISTRATOR_ACCESS",
    "AWS_MANAGED",
    "Condition",
    "Effect",
    "Kind",
    "NamedPolicy",
    "Policy",
    "PolicyError",
    "Statement",
    "bind",
    "parse",
]

INVALID_JSON: dict[Kind, str] = {
    "identity": "This policy contains invalid Json",
    "trust": "This policy contains invalid Json",
    "session": SYNTAX,
}
"""What IAM and STS say of a text that is no JSON (spec 3.2.5)."""
VERSIONS = ("2008-10-17", "2012-10-17")


@dataclass(frozen=True, slots=True)
class Policy:
    """A compiled policy. `text` is the document in minified JSON, members in the order they were given.

    `unique_ids` are the users and roles that a trust policy is bound to, by ARN (spec 4.3).
    """

    kind: Kind
    text: str
    statements: tuple[Statement, ...] = field(compare=False, repr=False)
    unique_ids: tuple[tuple[str, str], ...] = ()

    def principals(self) -> tuple[str, ...]:
        """The AWS principals of a trust policy as written, each once."""
        named = (statement.principals for statement in self.statements)
        return tuple(dict.fromkeys(text for principals in named if principals for text in principals.aws))

    def providers(self) -> tuple[str, ...]:
        """The identity providers of a trust policy as written, each once, sorted."""
        named = (statement.principals for statement in self.statements)
        return tuple(sorted({text for principals in named if principals for text in principals.providers}))


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """A policy as it is attached: `name` is an inline policy's name or a managed policy's ARN."""

    name: str
    policy: Policy


def parse(document: str | Mapping[str, object], kind: Kind) -> Policy:
    """Read and compile a policy from JSON text or from the object it stands for. Raises PolicyError."""
    content = _load(document, kind) if isinstance(document, str) else document
    top = policy_grammar.members(content, "the policy", frozenset(("Version", "Id", "Statement")))
    version = top.get("Version", VERSIONS[0])
    if version not in VERSIONS:
        raise PolicyError(SYNTAX, f"Version must be one of the texts {' and '.join(VERSIONS)}")
    if not isinstance(top.get("Id", ""), str):
        raise PolicyError(SYNTAX, "Id must be a text")
    dialect = Dialect(variables=version == VERSIONS[1], lax=kind == "session")
    found = top.get("Statement", ())
    entries = found if isinstance(found, list | tuple) else (found,)
    if not entries:
        raise PolicyError(SYNTAX, "Statement must hold at least one statement")
    statements = tuple(policy_grammar.statement(entry, at, kind, dialect) for at, entry in enumerate(entries))
    return Policy(kind, _minified(top, kind), statements)


def bind(policy: Policy, ids: Mapping[str, str]) -> Policy:
    """The trust policy with its users and roles bound to unique ids, so that a recreated one does not match.

    `ids` holds the unique id of every user and role by ARN. Raises PolicyError for a principal that is not there.
    """
    try:
        statements = tuple(
            replace(statement, principals=policy_principals.bind(statement.principals, ids))
            if statement.principals
            else statement
            for statement in policy.statements
        )
    except InvalidPrincipalError as error:
        raise PolicyError(str(error), "Principal names a user or role that does not exist") from None
    bound = {arn: ids[arn] for arn in policy.principals() if arn in ids} | dict(policy.unique_ids)
    return replace(policy, statements=statements, unique_ids=tuple(bound.items()))


def _load(text: str, kind: Kind) -> object:
    try:
        return json.loads(text, object_pairs_hook=_members_once, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        fault = str(error) if isinstance(error, ValueError) else "nested too deeply"
        raise PolicyError(INVALID_JSON[kind], f"not JSON: {fault}") from None


def _members_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is given twice in one object")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _minified(content: Mapping[str, object], kind: Kind) -> str:
    try:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=dict)
        text.encode()
    except (TypeError, ValueError) as error:
        raise PolicyError(INVALID_JSON[kind], f"not JSON: {error}") from None
    return text


ADMINISTRATOR_ACCESS = parse(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}, "identity"
)
AWS_MANAGED = {"arn:aws:iam::aws:policy/AdministratorAccess": ("AdministratorAccess", ADMINISTRATOR_ACCESS)}
"""AWS's own managed policies by ARN: name and policy."""

_AUDIT = (
    "iam:ListAccessKeys",
    "iam:ListSigningCertificates",
    "iam:GetLoginProfile",
    "iam:ListMFADevices",
    "iam:GetAccountSummary",
    "iam:GetUser",
    "iam:GetAccessKeyLastUsed",
)
_TASK_ACTIONS = {
    "IAMAuditRootUserCredentials": _AUDIT,
    "IAMCreateRootUserPassword": ("iam:CreateLoginProfile", "iam:GetLoginProfile"),
    "IAMDeleteRootUserCredentials": (
        "iam:DeleteAccessKey",
        "iam:DeleteSigningCertificate",
        "iam:DeleteLoginProfile",
        "iam:DeactivateMFADevice",
        "iam:DeleteVirtualMFADevice",
        *_AUDIT,
    ),
    "S3UnlockBucketPolicy": (
        "s3:DeleteBucketPolicy",
        "s3:PutBucketPolicy",
        "s3:GetBucketPolicy",
        "s3:ListAllMyBuckets",
    ),
    "SQSUnlockQueuePolicy": (
        "sqs:SetQueueAttributes",
        "sqs:GetQueueAttributes",
        "sqs:ListQueues",
        "sqs:GetQueueUrl",
    ),
}
TASK_POLICIES = {
    f"arn:aws:iam::aws:policy/root-task/{name}": parse(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]},
        "identity",
    )
    for name, actions in _TASK_ACTIONS.items()
}
"""What a session of AssumeRoot is limited to, by ARN (spec 3.5)."""
