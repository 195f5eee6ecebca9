"""A real Chromium for tests of pages, spoken to over its DevTools protocol: what a user's browser makes of a file."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless=new", "--remote-debugging-port=0", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--no-sandbox", "--hide-scrollbars"),
)
START_S = 30


def program() -> str:
    """Chromium's path. Skips the test when there is none, or fails it where nothing may be missing."""
    found = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if found is None:
        reason = "chromium is not installed (apt-get install chromium)"
        if os.environ.get("STSD_REQUIRE_ALL"):
            pytest.fail(f"STSD_REQUIRE_ALL is set and {reason}")
        pytest.skip(reason)
    return found


class Page:
    """One tab. `complaints` are what the console and the network have to say."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self.complaints: list[str] = []
        self.requested: list[str] = []

    async def listen(self) -> None:
        """Takes in whatever the browser says, until it ends."""
        async for message in self._socket:
            said = message.json()
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
                continue
            params = said["params"]
            match said["method"]:
                case "Page.loadEventFired":
                    self._loaded.set()
                case "Runtime.exceptionThrown":
                    self.complaints.append(params["exceptionDetails"]["text"])
                case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning"):
                    self.complaints.append(str(params["args"]))
                case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                    self.complaints.append(params["entry"]["text"])
                case "Network.requestWillBeSent":
                    self.requested.append(params["request"]["url"])

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol."""
        number = next(self._ids)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        answer = await asyncio.wait_for(self._answers[number], START_S)
        assert "error" not in answer, f"{method}: {answer.get('error')}"
        return answer["result"]

    async def open(self, url: str, *, width: int, dark: bool = False, height: int = 900) -> None:
        """Loads a page as a screen of that width and colour scheme shows it."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.call("Emulation.setEmulatedMedia", features=features)
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.call("Emulation.setDeviceMetricsOverride", **metrics)
        self._loaded.clear()
        await self.call("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), START_S)

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def picture(self) -> bytes:
        """The whole page as PNG."""
        answer = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])


@contextlib.asynccontextmanager
async def page(profile: Path) -> AsyncIterator[Page]:
    """A browser with one empty tab; its profile is thrown away with `profile`, its processes end with the block."""
    process = _start(profile)
    try:
        port = await _port(profile / "DevToolsActivePort", process)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                tab = next(one for one in await answer.json() if one["type"] == "page")
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                found = Page(socket)
                listening = asyncio.create_task(found.listen())
                try:
                    yield found
                finally:
                    listening.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _start(profile: Path) -> subprocess.Popen[bytes]:
    """In a session of its own, so that all its processes can be ended together."""
    command = [program(), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


async def _port(file: Path, process: subprocess.Popen[bytes]) -> int:
    for _ in range(START_S * 20):
        if lines := _lines(file):
            return int(lines[0])
        assert process.poll() is None, f"chromium ended with {process.returncode}"
        await asyncio.sleep(0.05)
    raise AssertionError("chromium does not start")


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
