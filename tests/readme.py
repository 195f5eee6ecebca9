"""The README's commands, to be run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.running import ROOT, RunningCluster

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


def block(*words: str) -> str:
    (found,) = [text for text in BLOCKS if all(word in text for word in words)]
    return found


def script(cluster: RunningCluster, text: str, folder: Path) -> str:
    """The block as it stands, on this cluster's ports and directory."""
    text = text.replace(". .venv/bin/activate\n", "").replace("$PWD/.stsd", str(cluster.data_dir))
    text = re.sub(r"(?<!\S)\.stsd(?![\w./-])", str(cluster.data_dir), text).replace("out/", f"{folder}/out/")
    text = re.sub(r"127\.0\.0\.1:87(\d\d)", lambda port: f"127.0.0.1:{cluster.base_port + int(port[1])}", text)
    return re.sub(
        r"python -m cluster (kill|start|status|pause|resume|partition|slow|heal)([^|\n]*)",
        rf"python -m cluster \1\2 --data-dir {cluster.data_dir} ",
        re.sub(r"\s+#.*", "", text),
    )  # fmt: skip


def run(cluster: RunningCluster, folder: Path, *texts: str, timeout_s: float = 120) -> list[str]:
    """Run blocks in one shell, as in one terminal; each must end well. What each command printed."""
    paths = [str(ROOT / ".venv" / "bin"), str(ROOT / ".venv-awscli" / "bin"), os.environ["PATH"]]
    environment = cluster.environment() | {"PATH": os.pathsep.join(paths), "STSD_DATA": str(cluster.data_dir)}
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "".join(script(cluster, text, folder) for text in texts)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout_s,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.splitlines()
