"""`python -m cluster.crowd ORDERS RESULT`: one crowd as a process; orders and result are JSON files of mode 0600. (I/O)

It is a process of its own so that its work does not delay what measures it. SIGTERM ends it with what it has so far.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import suppress
from pathlib import Path

from cluster.crowd.workers import Crowd, Orders
from cluster.files import write_whole


async def _run(crowd: Crowd) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await crowd.run()


def main(orders: Path, result: Path) -> None:
    """Does as the orders say."""
    crowd = Crowd(Orders(**json.loads(orders.read_text())))
    with suppress(asyncio.CancelledError):
        asyncio.run(_run(crowd))
    write_whole(result, json.dumps(crowd.told()).encode())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
