"""What `cluster up` tells to try has to work as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.running import ROOT, wait_for

AWS = ROOT / ".venv-awscli" / "bin"


def commands(output: Path) -> list[str]:
    text = output.read_text().partition("another terminal:\n")[2].replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.startswith("  ")]


@pytest.fixture
def programs() -> None:
    """Skips without the programs that the welcome names; where everything is required, that is a failure."""
    missing = [name for name, there in (("aws", (AWS / "aws").exists()), ("curl", shutil.which("curl"))) if not there]
    if missing and os.environ.get("STSD_REQUIRE_ALL"):
        pytest.fail(f"STSD_REQUIRE_ALL is set and {' and '.join(missing)} is missing")
    if missing:
        pytest.skip(f"{' and '.join(missing)} is not installed (make test installs the aws CLI)")


@pytest.mark.processes
@pytest.mark.usefixtures("programs")
def test_the_welcome_can_be_pasted_line_by_line(cluster):
    wait_for(lambda: "Ctrl-C stops" in cluster.output.read_text(), "the welcome")
    lines = commands(cluster.output)
    cluster.killed.add("us-east-1")
    after_revoking = next(i for i, line in enumerate(lines) if "revoke" in line) + 1
    lines.insert(after_revoking, "sleep 1")
    script = "set -e\n" + "\n".join(lines)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=Path.home(),
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": f"{AWS}:/usr/bin:/bin"},
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    assert re.findall(r'"active": ?(true|false)', done.stdout) == ["true", "false"]
    assert "assumed-role" in done.stdout
    assert done.stdout.count("us-east-1: process") == 2
    assert re.search(r"us-east-1 +http\S+ +ready", done.stdout)


@pytest.mark.processes
def test_the_welcome_fits_a_terminal(cluster):
    wait_for(lambda: "Ctrl-C stops" in cluster.output.read_text(), "the welcome")
    far = (str(cluster.data_dir), str(ROOT), os.path.relpath(cluster.data_dir, ROOT))
    lines = [line for line in cluster.output.read_text().splitlines() if not any(path in line for path in far)]
    assert len(lines) > 25
    assert max(map(len, lines)) <= 80
