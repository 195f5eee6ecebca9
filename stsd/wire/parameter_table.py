"""Every parameter of every STS operation: names, types, lengths, patterns and ranges (spec 3.0.2, 3.0.3)."""

from __future__ import annotations

from stsd import tags
from stsd.wire.constraint_kinds import (
    ANYTHING,
    Constraint,
    Integer,
    Pattern,
    Structure,
    Structures,
    Text,
    Texts,
    pattern,
)

# Characters beyond U+FFFF fail live, although the class seems to admit them (spec 1.6).
ARN = pattern(
    r"[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+",
    r"[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD]+",
)
POLICY = pattern(r"[\u0009\u000A\u000D\u0020-\u00FF]+")
SESSION_NAME = pattern(r"[\w+=,.@-]*")
EXTERNAL_ID = pattern(r"[\w+=,.@:\/-]*")
WORD = pattern(r"[\w]*")
SERIAL_NUMBER = pattern(r"[\w+=/:,.@-]*")
DIGITS = pattern(r"[\d]*")
TAG_KEY = Pattern(f"{tags.PATTERN}+", tags.KEY_CHARACTERS)
TAG_VALUE = Pattern(f"{tags.PATTERN}*", tags.VALUE_CHARACTERS)

# The model requires no arn of an entry; without one, a session policy would be dropped in silence.
POLICY_ARNS = Structures(
    "PolicyArns", "policyArns", "PolicyDescriptorType", 10, (Text("arn", "arn", 20, 2048, ARN, required=True),)
)
ROLE_ARN = Text("RoleArn", "roleArn", 20, 2048, ARN, required=True)
ROLE_SESSION_NAME = Text("RoleSessionName", "roleSessionName", 2, 64, SESSION_NAME, required=True)
ROLE_DURATION = Integer("DurationSeconds", "durationSeconds", 900, 43_200)
SHORT_POLICY = Text("Policy", "policy", 1, 2048, POLICY)
LONG_DURATION = Integer("DurationSeconds", "durationSeconds", 900, 129_600)
TOKEN_SIZE = Integer("MinimumSessionTokenSize", "minimumSessionTokenSize", 0, 4_096)
MFA = (
    Text("SerialNumber", "serialNumber", 9, 256, SERIAL_NUMBER),
    Text("TokenCode", "tokenCode", 6, 6, DIGITS),
)
TAGS = Structures(
    "Tags", "tags", "Tag", tags.MAX_TAGS,
    (
        Text("Key", "key", 1, tags.MAX_KEY, TAG_KEY, required=True),
        Text("Value", "value", 0, tags.MAX_VALUE, TAG_VALUE, required=True),
    ),
)  # fmt: skip
PARAMETERS: dict[str, tuple[Constraint, ...]] = {
    "AssumeRole": (
        ROLE_ARN,
        ROLE_SESSION_NAME,
        POLICY_ARNS,
        Text("Policy", "policy", 1, None, POLICY),
        ROLE_DURATION,
        TAGS,
        Texts("TransitiveTagKeys", "transitiveTagKeys", 0, tags.MAX_TAGS, Text("", "", 1, tags.MAX_KEY, TAG_KEY)),
        Text("ExternalId", "externalId", 2, 1224, EXTERNAL_ID),
        *MFA,
        Text("SourceIdentity", "sourceIdentity", 2, 256, SESSION_NAME),
        Structures(
            "ProvidedContexts",
            "providedContexts",
            "ProvidedContext",
            5,
            (
                Text("ProviderArn", "providerArn", 20, 2048, ARN, required=True),
                Text("ContextAssertion", "contextAssertion", 4, 2048, ANYTHING, required=True, sensitive=True),
            ),
            shortest=1,
        ),
        TOKEN_SIZE,
    ),
    "AssumeRoleWithSAML": (
        ROLE_ARN,
        Text("PrincipalArn", "principalArn", 20, 2048, ARN, required=True),
        Text("SAMLAssertion", "sAMLAssertion", 4, 100_000, ANYTHING, required=True, sensitive=True),
        POLICY_ARNS,
        SHORT_POLICY,
        ROLE_DURATION,
        TOKEN_SIZE,
    ),
    "AssumeRoleWithWebIdentity": (
        ROLE_ARN,
        ROLE_SESSION_NAME,
        Text("WebIdentityToken", "webIdentityToken", 4, 20_000, ANYTHING, required=True, sensitive=True),
        Text("ProviderId", "providerId", 4, 2048, ANYTHING),
        POLICY_ARNS,
        SHORT_POLICY,
        ROLE_DURATION,
        TOKEN_SIZE,
    ),
    "AssumeRoot": (
        Text("TargetPrincipal", "targetPrincipal", 12, 2048, ANYTHING, required=True),
        Structure("TaskPolicyArn", "taskPolicyArn", (Text("arn", "arn", 20, 2048, ARN),), required=True),
        Integer("DurationSeconds", "durationSeconds", 0, 900),
        TOKEN_SIZE,
    ),
    "DecodeAuthorizationMessage": (Text("EncodedMessage", "encodedMessage", 1, 10_240, ANYTHING, required=True),),
    "GetAccessKeyInfo": (Text("AccessKeyId", "accessKeyId", 16, 128, WORD, required=True),),
    "GetCallerIdentity": (),
    "GetDelegatedAccessToken": (
        Text("TradeInToken", "tradeInToken", 0, None, ANYTHING, required=True, sensitive=True),
    ),
    "GetFederationToken": (
        Text("Name", "name", 2, 32, SESSION_NAME, required=True),
        SHORT_POLICY,
        POLICY_ARNS,
        LONG_DURATION,
        TAGS,
        TOKEN_SIZE,
    ),
    "GetSessionToken": (LONG_DURATION, *MFA, TOKEN_SIZE),
    "GetWebIdentityToken": (
        Texts("Audience", "audience", 1, 10, Text("", "", 1, 1000, ANYTHING), required=True),
        Text("SigningAlgorithm", "signingAlgorithm", 5, 5, ANYTHING, required=True),
        Integer("DurationSeconds", "durationSeconds", 60, 3600),
        TAGS,
    ),
}
"""Every parameter of every operation that this service reads; others are ignored, as AWS does (spec 1.1)."""
