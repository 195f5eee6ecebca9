"""The code of an earlier commit, taken from git, for clusters of two versions. (I/O)"""

from __future__ import annotations

import contextlib
import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cluster.errors import Refused

ROOT = Path(__file__).parent.parent
PACKAGE = "stsd"


@contextlib.contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """A folder with the nodes' code as it was at `commit`, removed in the end. Raises Refused where git does not have
    it."""
    command = ["git", "archive", "--format=tar", commit, PACKAGE]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)  # noqa: S603
    except OSError as error:
        raise Refused(f"there is no version before this one to begin with: git does not run: {error}") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise Refused(f"there is no version before this one to begin with: git has no {commit}: {said}") from error
    with tempfile.TemporaryDirectory(prefix="stsd-before-") as folder:
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)
