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
    text = output.read_text().partition("another terminal:\n")[2].partition("\n\n")[0]
    joined = text.replace("\\\n", " ")
    return [re.sub(r"     then.*$", "", line).strip() for line in joined.splitlines()]


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
    verify = next(line for line in lines if line.startswith("curl"))
    after_revoking = next(i for i, line in enumerate(lines) if "revoke" in line) + 1
    lines[after_revoking:after_revoking] = ["sleep 1", verify]
    script = "set -e\n" + "\n".join(lines)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": f"{AWS}:/usr/bin:/bin"},
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    assert re.findall(r'"active": ?(true|false)', done.stdout) == ["true", "false"]
    assert "assumed-role" in done.stdout
    assert "us-east-1: process" in done.stdout
