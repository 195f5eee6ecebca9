"""Verify session tokens where they are used, without asking anybody: keys and revocations come to you (design 2.9).

    import asyncio, sys

    from stsd.verifier import Verifier


    async def main(url: str, token: str) -> None:
        async with Verifier(url, closed_after_s=900) as verifier:
            verdict = verifier.verify(token)  # no I/O, no exception
            print(verdict.active, verdict.reason or verdict.principal, f"{verifier.staleness_s:.1f} s old")


    asyncio.run(main(*sys.argv[1:]))

`url` is a regional node's, `http://127.0.0.1:8711` or `https://sts.eu-west-1.example`, not the router's; off loopback
the node wants a resource-server `key`. What an offline verifier cannot know is whether the user or role behind a token
still exists (`principal_gone`): whoever removes one revokes its sessions too; and which opt-in regions an account has
enabled: in such a region it refuses tokens of version 1 (`region_not_enabled`), and only the node knows about the rest.
"""

from stsd.verifier.client import Verifier, VerifierUnavailable
from stsd.verifier.knowledge import Verdict

__all__ = ["Verdict", "Verifier", "VerifierUnavailable"]
