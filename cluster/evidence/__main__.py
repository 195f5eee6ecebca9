"""`python -m cluster.evidence`: what replication was put through, measured, collected, and written into the README.
(I/O)"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import click

from cluster import command_line
from cluster.errors import ClusterError, Refused
from cluster.evidence import table
from cluster.files import read_text, write_whole

ROOT = Path(__file__).parent.parent.parent
DATA = ROOT / "docs" / "data" / "replication.json"
README = ROOT / "README.md"
NATS_PROGRAM = "STSD_NATS_SERVER"
EXAMPLE = "python -m cluster.evidence measure --minutes 10 --out out/"


@dataclass(frozen=True, slots=True)
class Engine:
    """What carries the replication, and how commands are told: flags, and the environment."""

    name: str
    flags: tuple[str, ...] = ()
    program: Path | None = None

    @property
    def label(self) -> str:
        """As the table calls it, with the version of its program."""
        if self.program is None:
            return self.name
        answer = subprocess.run([self.program, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
        return f"NATS {answer.stdout.split()[-1].lstrip('v')}"

    @property
    def environment(self) -> Mapping[str, str]:
        """What its commands run with."""
        return os.environ | ({} if self.program is None else {NATS_PROGRAM: str(self.program)})


@dataclass(frozen=True, slots=True)
class Step:
    """One command and the result file that it makes."""

    name: str
    command: tuple[str, ...]
    result: Path
    place: tuple[str, ...]
    """Where it stands in the committed data."""
    kept: Callable[[Mapping[str, Any]], dict[str, Any]] = field(repr=False)
    """What of its result is kept. Raises EvidenceError."""
    environment: Mapping[str, str] = field(repr=False)


def engines(chosen: tuple[str, ...]) -> list[Engine]:
    """The engines of these names. Raises ClusterError for a program that is missing."""
    nats = ("--backbone", "nats")
    known = {
        "http": lambda: Engine("http"),
        "nats": lambda: Engine("nats", nats, _program(Path(sys.executable).parent / "nats-server", "make install")),
        "nats-debian": lambda: Engine("nats-debian", nats, _program(DEBIAN_NATS, "apt-get install nats-server")),
    }
    return [known[name]() for name in chosen]


GO_ON = "what was measured before is kept, run it again to go on"
DEBIAN_NATS = Path("/usr/sbin/nats-server")
ENGINES = ("http", "nats", "nats-debian")


def _program(path: Path, mend: str) -> Path:
    if not os.access(path, os.X_OK):
        raise ClusterError(f"--engine: {path} is missing: {mend}")
    return path


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=f"Example: {EXAMPLE}")
def evidence() -> None:
    """The README's table of what replication was put through."""


@evidence.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True,
              help="Results; a step whose result is there is not run again.")  # fmt: skip
@click.option("--engine", "chosen", type=click.Choice(ENGINES), multiple=True, help="All three, if left out.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), default=5.0, show_default=True,
              help="Of simulation, and of histories for each engine.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the first history.")
@click.option("--quick", is_flag=True, help="The short form of the experiment, and no p99.9.")
@click.option(
    "--step",
    "wanted",
    multiple=True,
    metavar="NAME",
    help="Only these, and what is known of the others; all, if left out.",
)
def measure(
    out: Path, chosen: tuple[str, ...], minutes: float, seed: int, quick: bool, wanted: tuple[str, ...]
) -> None:
    """Run what the table needs: simulation, histories and convergence for each engine; then collect and render.

    Example: python -m cluster.evidence measure --minutes 10 --out out/
    """
    found = engines(chosen or ENGINES)
    steps = _steps(out.absolute(), found, minutes, seed, quick)
    if unknown := [name for name in wanted if name not in {step.name for step in steps}]:
        raise ClusterError(f"--step {unknown[0]}: choose from {', '.join(step.name for step in steps)}")
    for step in steps:
        if not wanted or step.name in wanted:
            _run(step)
    kept = {step.name: _kept(step) for step in steps}
    if left := [name for name, one in kept.items() if one is None]:
        click.echo(f"left to do: {', '.join(left)}")
        return
    write_whole(DATA, json.dumps(_collected(kept, found), indent=1).encode() + b"\n")
    DATA.chmod(0o644)
    _render()


@evidence.command()
def render() -> None:
    """Write the table of the committed data into the README.

    Example: python -m cluster.evidence render
    """
    _render()


def _steps(out: Path, found: list[Engine], minutes: float, seed: int, quick: bool) -> list[Step]:
    python, form = sys.executable, ("--quick",) if quick else ()
    common = ("--minutes", f"{minutes:g}", "--seed", str(seed), "--json")
    simulated = out / "simulation.json"
    samples = () if quick else ("--samples", str(table.SAMPLES_NEEDED["p999_ms"]))
    command: tuple[str, ...] = (python, "-m", "cluster.sim", *common, str(simulated), *samples)
    steps = [Step("simulation", command, simulated, ("simulation",), table.simulation, os.environ)]
    for engine in found:
        path = out / f"histories-{engine.name}.json"
        command = (python, "-m", "cluster.nemesis", *common, str(path), *engine.flags)
        kept = partial(table.histories, engine=engine.name)
        steps.append(
            Step(f"histories-{engine.name}", command, path, ("histories", engine.label), kept, engine.environment)
        )
    for engine in found:
        folder = out / f"convergence-{engine.name}"
        command = (
            *(
                python,
                "-m",
                "cluster",
                "experiment",
                "run",
                table.EXPERIMENT,
                "--seed",
                str(seed),
                "--out",
                str(folder),
            ),
            *(*form, *engine.flags),
        )
        path, kept = folder / table.EXPERIMENT / "result.json", partial(table.convergence, engine=engine.name)
        steps.append(
            Step(f"convergence-{engine.name}", command, path, ("convergence", engine.label), kept, engine.environment)
        )
    return steps


def _run(step: Step) -> None:
    """Runs a step whose result is not there. Raises Refused; a bad result is moved aside, so that it is not used."""
    if step.result.exists():
        click.echo(f"{step.name}: {step.result} is there")
        return
    step.result.parent.mkdir(parents=True, exist_ok=True)
    click.echo(f"{step.name}: {' '.join(step.command[1:])}")
    done = subprocess.run(step.command, cwd=ROOT, env=dict(step.environment), check=False)  # noqa: S603  ours
    if not step.result.exists():
        raise Refused(f"{step.name}: exit code {done.returncode} and no result; {GO_ON}")
    try:
        step.kept(_read(step.result))
    except table.EvidenceError as error:
        bad = step.result.with_suffix(".bad.json")
        shutil.move(step.result, bad)
        raise Refused(f"{error}", f"{step.name}: its result is moved to {bad}; {GO_ON}") from error


def _kept(step: Step) -> dict[str, Any] | None:
    """What is kept of a step's result, or of the result before; None for neither. Raises Refused for a result that is
    no evidence."""
    if step.result.exists():
        try:
            return step.kept(_read(step.result))
        except table.EvidenceError as error:
            raise Refused(str(error)) from error
    found: Any = _read(DATA) if DATA.exists() else {}
    for name in step.place:
        found = found.get(name, {})
    return found or None


def _collected(kept: Mapping[str, Any], found: list[Engine]) -> dict[str, Any]:
    """The committed data."""
    return {
        "simulation": kept["simulation"],
        "histories": {engine.label: kept[f"histories-{engine.name}"] for engine in found},
        "convergence": {engine.label: kept[f"convergence-{engine.name}"] for engine in found},
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(read_text(path, "result"))
    except ValueError as error:
        raise ClusterError(f"{path}: is not JSON: remove it and measure again") from error
    return content


def _render() -> None:
    try:
        content = table.into(read_text(README, "README"), table.render(_read(DATA)))
    except table.EvidenceError as error:
        raise Refused(str(error)) from error
    write_whole(README, content.encode())
    README.chmod(0o644)
    click.echo(f"{README}: written from {DATA}")


if __name__ == "__main__":
    command_line.main(evidence, "python -m cluster.evidence", "evidence")
