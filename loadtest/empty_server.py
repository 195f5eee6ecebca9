"""The reference server: an aiohttp Application on uvloop, without access log, that reads a POST and answers 1 kB.

Run as a script; prints `ready on URL` and serves until it is ended.
"""

from __future__ import annotations

import asyncio

import uvloop
from aiohttp import web

ANSWER = b"x" * 1024


async def answer(request: web.Request) -> web.Response:
    """Reads the body and says nothing of interest."""
    await request.read()
    return web.Response(body=ANSWER, content_type="text/xml")


async def serve() -> None:
    """Serves on a free loopback port."""
    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print(f"ready on http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve())
