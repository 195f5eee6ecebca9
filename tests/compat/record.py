"""What the last test run saw each client do: one JSON file per client in a folder that git ignores."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.running import ROOT

FOLDER = ROOT / "build" / "compat"
PINNED = {
    "boto3": True,
    "aiobotocore": True,
    "aws": True,
    "aws of Debian": False,
    "JavaScript v3": True,
    "Go v2": True,
    "Java v2": True,
}
"""The clients, in the table's order, and whether this project says which version is used."""


@dataclass(slots=True)
class Record:
    """A client's version, and row by row whether it did what the scenario wants: `yes`, `lacks` for what this
    version of the client does not have, or `untried`. What went wrong is not recorded: its test has failed."""

    client: str
    version: str
    rows: dict[str, str] = field(default_factory=dict)

    def save(self, folder: Path = FOLDER) -> None:
        """Replace what an earlier run said of this client."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.client}.json").write_text(json.dumps(asdict(self), indent=1) + "\n")


def load(folder: Path = FOLDER) -> list[Record]:
    """The records that are there, in the table's order."""
    files = [folder / f"{client}.json" for client in PINNED]
    return [Record(**json.loads(file.read_text())) for file in files if file.exists()]
