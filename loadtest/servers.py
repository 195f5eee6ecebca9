"""The processes of a benchmark: nodes, the reference server, the token children; each pinned to one core. (I/O)

Everything lives in one temporary directory and ends with the `Bench`, also on Ctrl-C. Servers write to files there, so
that none waits for a reader.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
REGION = "us-east-1"
READY_S = 20.0
STOP_S = 5.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class ServerError(Exception):
    """A process that did not start or a revision that cannot be checked out; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core serves and which one loads; the same one on a machine with a single core."""

    server: int
    client: int

    @classmethod
    def available(cls) -> Cores:
        """The first two cores that this process may use."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(usable[0], usable[1] if len(usable) > 1 else usable[0])


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    url: str
    pid: int
    data_dir: Path | None = None

    def cpu_s(self) -> float:
        """User and system CPU seconds so far (proc(5), fields 14 and 15 of stat)."""
        after_name = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / _TICKS_PER_S


@dataclass(slots=True)
class TokenChild:
    """A running `token_child.py`."""

    process: subprocess.Popen[str]

    def measure(self, kind: str, seconds: float) -> tuple[int, float, float]:
        """Calls, elapsed seconds and CPU seconds of one measurement. Raises ServerError."""
        calls, elapsed, cpu = self._ask(f"{kind} {seconds}").split()
        return int(calls), float(elapsed), float(cpu)

    def prepare(self, setting: dict[str, object]) -> None:
        """Gives the child its state. Raises ServerError."""
        if self._ask(json.dumps(setting)) != "ready":
            raise ServerError("the token child did not start")

    def _ask(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise ServerError("the token child has ended") from error
        answer = self.process.stdout.readline().strip()
        if not answer:
            raise ServerError("the token child has ended")
        return answer


@dataclass(slots=True)
class Bench:
    """Starts processes on the server core; as a context manager it ends them and removes their files."""

    cores: Cores
    root: Path = field(init=False)
    _processes: list[subprocess.Popen[str]] = field(init=False, default_factory=list)
    _worktrees: list[Path] = field(init=False, default_factory=list)

    def __enter__(self) -> Bench:
        self.root = Path(tempfile.mkdtemp(prefix="stsd-bench-"))
        os.sched_setaffinity(0, {self.cores.client})
        return self

    def __exit__(self, *_: object) -> None:
        os.sched_setaffinity(0, {self.cores.client, self.cores.server})
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            _end(process)
        for worktree in self._worktrees:
            _git("worktree", "remove", "--force", str(worktree))
        shutil.rmtree(self.root, ignore_errors=True)

    def node(self, name: str, source: Path = REPOSITORY) -> Server:
        """A node of `source` with the default world and an empty data directory. Raises ServerError."""
        data_dir = self.root / name
        command = ["-m", "stsd", "serve", "--region", REGION, "--port", "0", "--data-dir", str(data_dir)]
        server = self._serve(name, command, source)
        return Server(server.url, server.pid, data_dir)

    def empty(self) -> Server:
        """The reference server. Raises ServerError."""
        return self._serve("empty", [str(HERE / "empty_server.py")], REPOSITORY)

    def token_child(self, source: Path = REPOSITORY) -> TokenChild:
        """A child that verifies tokens with the `stsd` of `source`."""
        command = [sys.executable, str(HERE / "token_child.py")]
        process = self._spawn(command, source, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return TokenChild(process)

    def checkout(self, revision: str) -> Path:
        """A work tree of an older commit, removed at the end. Raises ServerError."""
        commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        if commit.returncode:
            raise ServerError(f"--against {revision}: no such commit here; give a revision that `git log` knows")
        path = self.root / "against"
        added = _git("worktree", "add", "--detach", str(path), commit.stdout.strip())
        if added.returncode:
            raise ServerError(f"--against {revision}: cannot be checked out: {added.stderr.strip()}")
        self._worktrees.append(path)
        return path

    def _serve(self, name: str, arguments: Sequence[str], source: Path) -> Server:
        log = self.root / f"{name}.log"
        with log.open("w") as output:
            process = self._spawn([sys.executable, *arguments], source, stdout=output, stderr=subprocess.STDOUT)
        return Server(_ready_url(process, log, name), process.pid)

    def _spawn(self, command: Sequence[str], source: Path, **streams: Any) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": str(source), "PYTHONUNBUFFERED": "1"}
        options = {"cwd": self.root, "env": environment, "text": True, "start_new_session": True, **streams}
        with _pinned(self.cores):
            process: subprocess.Popen[str] = subprocess.Popen(command, **options)  # noqa: S603  our own programs
        self._processes.append(process)
        return process


@contextlib.contextmanager
def _pinned(cores: Cores) -> Iterator[None]:
    """Children inherit the affinity of their parent, so the parent moves over for a moment."""
    os.sched_setaffinity(0, {cores.server})
    try:
        yield
    finally:
        os.sched_setaffinity(0, {cores.client})


def _ready_url(process: subprocess.Popen[str], log: Path, name: str) -> str:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines():
            said, _, url = line.partition("ready on ")
            if url.startswith("http") and not said.startswith("{"):
                return url.split()[0]
        time.sleep(0.02)
    last = log.read_text().strip().splitlines()[-1:] or ["it said nothing"]
    raise ServerError(f"{name} did not become ready: {last[0]}")


def _end(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607  a fixed program
