"""Every operation and every credential provider once with aiobotocore, against the service that the scenario names. A
line of JSON for each: what was called, and "ok" with what came back, or the error as the SDK raises it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore import xform_name
from botocore.exceptions import ClientError

PROFILES = {
    "credentials of a role": "role",
    "credentials of a chained role": "chained",
    "credentials of a web identity token file": "web",
    "credentials of a process": "process",
}


def client(scenario: dict[str, Any], keys: dict[str, str], url: str = "", attempts: int = 1) -> Any:
    """A client of the service with these keys."""
    return AioSession().create_client(
        "sts", region_name=scenario["region"], endpoint_url=url or scenario["url"],
        aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys.get("SessionToken"),
        config=AioConfig(retries={"mode": "standard", "total_max_attempts": attempts}),
    )  # fmt: skip


async def call(scenario: dict[str, Any], operation: str) -> str:
    """Make a call; what it names, or the identity that its credentials give."""
    async with client(scenario, scenario["caller"]) as sts:
        answer = await getattr(sts, xform_name(operation))(**scenario["calls"][operation])
    for name in ("Arn", "Account", "WebIdentityToken"):
        if name in answer:
            return str(answer[name])
    async with client(scenario, answer["Credentials"]) as sts:
        return str((await sts.get_caller_identity())["Arn"])


async def identity(profile: str) -> str:
    """Who a profile of the scenario's files is."""
    async with AioSession(profile=profile).create_client("sts") as sts:
        return str((await sts.get_caller_identity())["Arn"])


async def crowd(scenario: dict[str, Any]) -> int:
    """Make more calls at once than the quota lets through; the most attempts that one of them took."""
    async with client(scenario, scenario["caller"], scenario["busy_url"], attempts=6) as sts:
        answers = await asyncio.gather(*(sts.get_caller_identity() for _ in range(3)))
    return 1 + max(answer["ResponseMetadata"]["RetryAttempts"] for answer in answers)


async def report(operation: str, called: Awaitable[Any]) -> None:
    """Print what came of it."""
    line: dict[str, Any] = {"operation": operation}
    try:
        line |= {"result": await called, "outcome": "ok"}
    except ClientError as error:
        told = error.response["Error"]
        line |= {"outcome": told["Code"], "message": told.get("Message", ""), "class": type(error).__name__}
    print(json.dumps(line))


async def main(scenario: dict[str, Any]) -> None:
    """All rows of the scenario."""
    for operation in scenario["calls"]:
        await report(operation, call(scenario, operation))
    for row, profile in PROFILES.items():
        await report(row, identity(profile))
    await report("retry after Throttling", crowd(scenario))


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
