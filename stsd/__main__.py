"""The command line of one node: `stsd serve`, `stsd revoke`, `stsd keys`, `stsd join`, `stsd peers`.

Exit codes: 0 fine, 1 it ran and the answer is no, 2 bad usage or configuration, with one line per fault.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from stsd import __version__, config
from stsd.config import Config, ConfigError

FILE = click.Path(dir_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="stsd")
def cli() -> None:
    """stsd: a security token service you run yourself."""


@cli.command(epilog="Example: stsd serve --region eu-west-1 --port 8712 --data-dir ./eu")
@click.option("--region", help=f"The region this node is. Default: the data directory's, else {config.DEFAULT_REGION}.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535),
              help=f"0: any. Default: that of the URL given to `stsd join`, else {config.DEFAULT_PORT}.")  # fmt: skip
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), default=Path(".stsd-node"),
              show_default=True, help="State of this node; made when it does not exist.")  # fmt: skip
@click.option("--world", type=FILE, help="Accounts, users, roles and policies to start from (YAML or JSON).")
@click.option("--issuer", help="`iss` of session tokens, one for the whole cluster. Default: this node's URL.")
@click.option("--cluster-key", type=FILE, help="The cluster's key. Default: cluster.key in the data directory.")
@click.option("--peer", "peers", multiple=True, metavar="REGION=URL",
              help="Where another region's node is, if not where it said when it joined; repeat for each.")  # fmt: skip
@click.option(
    "--backbone",
    metavar="URL[,URL…]",
    help="NATS servers of this region that replication goes through: nats://HOST:PORT on this machine, tls://HOST:PORT"
    " elsewhere. Default: nodes call each other.",
)
@click.option("--tls-cert", type=FILE, help="Certificate chain (PEM): serve https.")
@click.option("--tls-key", type=FILE, help="Private key of --tls-cert (PEM).")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--metrics-listen", metavar="HOST:PORT", help="Serve /metrics here too; needed off loopback.")
@click.option("--resource-server-keys", type=FILE, help="Keys of verifiers that are not on loopback, one a line.")
@click.option("--quota", "quota_per_s", type=click.IntRange(min=1), metavar="N", envvar="STSD_QUOTA",
              help="Requests a second of each account (AWS: 600). Default: $STSD_QUOTA, else no limit.")  # fmt: skip
@click.option("--drain-s", type=click.FloatRange(0, 3600), default=0.0, show_default=True, metavar="N",
              help="After SIGTERM, serve so many seconds more, not ready; a second signal ends that.")  # fmt: skip
@click.option(
    "--unsafe-test-hooks", is_flag=True, help="Let tests move the clock and forget everything. Loopback only."
)
def serve(**options: Any) -> None:
    """Run one node until it is told to stop."""
    try:
        settings = _settings(options)
        from stsd import app  # imported late: usage errors and --help need no server

        app.run(settings)
    except ConfigError as error:
        _fail(str(error))


@cli.command(
    epilog="Example: stsd revoke access_key_id=ASIARTX3GSDSQ… --profile admin --reason 'laptop lost' --wait all"
)
@click.argument("subject", metavar="MEMBER=VALUE")
@click.option("--reason", help="Kept with the revocation.")
@click.option(
    "--wait", type=click.Choice(["none", "all"]), help="all: wait until every region has it, and tell which have not."
)
@click.option("--timeout-s", type=float, metavar="N", help="How long --wait all waits, 0.1 to 30 seconds. Default: 2.")
@click.option("--profile", help="Whose keys sign the call. Default: AWS_PROFILE, else default.")
@click.option("--endpoint-url", help="The node or router. Default: the profile's endpoint_url.")
def revoke(subject: str, profile: str | None, **options: Any) -> None:
    """Revoke a credential, a session, a role's sessions, …

    MEMBER is one of access_key_id, token, session_arn, source_identity, role_arn, principal_arn, account_id. A token
    is better read from standard input, so that it is in no process list: token=-

    It is refused in its region from the moment of the answer, whoever has confirmed it by then.
    """
    from stsd.server import revoke_command

    try:
        sys.exit(revoke_command.run(subject, profile_name=profile, **options))
    except ConfigError as error:
        _fail(str(error))


@cli.group()
def keys() -> None:
    """The cluster's token keys."""


@keys.command("list", epilog="Example: stsd keys list --data-dir .stsd")
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), default=Path(".stsd-node"),
              show_default=True, help="Of a node or of a cluster.")  # fmt: skip
def keys_list(data_dir: Path) -> None:
    """List the token keys that the running node holds."""
    from stsd.server import keys_command

    try:
        sys.exit(keys_command.run(data_dir))
    except ConfigError as error:
        _fail(str(error))


@cli.command(epilog="Example: stsd join --ticket ticket.txt --sponsor http://10.0.1.5:8711 --url http://10.0.2.7:8711")
@click.option("--ticket", required=True, metavar="FILE", help="From `stsd peers ticket`; - reads standard input.")
@click.option("--sponsor", required=True, metavar="URL", help="Any node of the cluster.")
@click.option("--url", required=True, metavar="URL", help="Where the other nodes reach this one.")
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), default=Path(".stsd-node"),
              show_default=True, help="State of the new node; empty or not there yet.")  # fmt: skip
@click.option("--ca", type=FILE, help="The operator's certificate authority (PEM), believed for https URLs of nodes.")
def join(ticket: str, sponsor: str, url: str, data_dir: Path, ca: Path | None) -> None:
    """Make this machine a node of a cluster; `stsd serve` with the same --data-dir starts it.

    It is ready once it has caught up with what the others know. When the answer of the sponsor was lost, say the same
    again: the ticket holds for the machine that used it first.
    """
    from stsd.server import join_command

    _exit(lambda: join_command.run(ticket, sponsor, data_dir, url, ca))


@cli.group()
def mfa() -> None:
    """MFA devices of the world's users."""


@mfa.command("code", epilog="Example: stsd mfa code --serial arn:aws:iam::111122223333:mfa/frank --data-dir .stsd")
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), default=Path(".stsd-node"),
              show_default=True, help="Of a node or of a cluster.")  # fmt: skip
@click.option("--serial", metavar="ARN", help="The device's serial number. Default: the only device there is.")
def mfa_code(data_dir: Path, serial: str | None) -> None:
    """Print a code that is good now and has not been used, in place of the device.

    The seeds of MFA devices that the world leaves open are made at the first start and never leave the node; whoever
    may open the node's operator socket may read codes.
    """
    from stsd.server import mfa_command

    _exit(lambda: mfa_command.code(data_dir, serial))


@cli.group()
def peers() -> None:
    """Who belongs to the cluster: list them, let one join, remove one."""


DATA_DIR = click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), default=Path(".stsd-node"),
                        show_default=True, help="Of a node or of a cluster.")  # fmt: skip
ROOT_KEY = click.option(
    "--root-key", type=FILE, help="The cluster's root key. Default: root.key in the data directory."
)


@peers.command("list", epilog="Example: stsd peers list --data-dir .stsd")
@DATA_DIR
def peers_list(data_dir: Path) -> None:
    """List the nodes of the cluster, and those that left."""
    from stsd.server import peers_command

    _exit(lambda: peers_command.list_peers(data_dir))


@peers.command("ticket", epilog="Example: stsd peers ticket --region eu-west-1 --data-dir .stsd --out ticket.txt")
@click.option("--region", required=True, help="Of the node that is to join.")
@DATA_DIR
@ROOT_KEY
@click.option("--out", type=FILE, help="Write the ticket to this file (mode 0600). Default: standard output.")
@click.option("--replace", is_flag=True, help="Remove the node that the region has, as `stsd peers remove` does.")
def peers_ticket(data_dir: Path, region: str, **options: Any) -> None:
    """Make a ticket, with which one machine can join within ten minutes. Whoever has it can: it is a secret."""
    from stsd.server import peers_command

    _exit(lambda: peers_command.ticket(data_dir, config.region(region), **options))


@peers.command("remove", epilog="Example: stsd peers remove eu-west-1 --data-dir .stsd")
@click.argument("region")
@DATA_DIR
@ROOT_KEY
def peers_remove(data_dir: Path, region: str, root_key: Path | None) -> None:
    """Remove a region's node: nobody believes it any more, nor waits for it. What it revoked stays revoked if another
    node has it.

    It still has the cluster's keys: when it was stolen, that is not enough.
    """
    from stsd.server import peers_command

    _exit(lambda: peers_command.remove(data_dir, config.region(region), root_key=root_key))


def _exit(run: Callable[[], int]) -> NoReturn:
    try:
        sys.exit(run())
    except ConfigError as error:
        _fail(str(error))


def _settings(options: dict[str, Any]) -> Config:
    remembered = config.remembered(options["data_dir"])
    region = config.region(options["region"] or remembered.get("region") or config.DEFAULT_REGION)
    port = options["port"] if options["port"] is not None else remembered.get("port") or config.DEFAULT_PORT
    if (options["tls_cert"] is None) != (options["tls_key"] is None):
        raise ConfigError("--tls-cert and --tls-key: give both or neither")
    if options["unsafe_test_hooks"] and not config.is_loopback_host(options["host"]):
        raise ConfigError("--unsafe-test-hooks: only with a loopback --host, such as 127.0.0.1")
    listen, issuer, backbone = options["metrics_listen"], options["issuer"], options["backbone"]
    return Config(
        **options
        | {
            "region": region,
            "port": port,
            "host": config.host(options["host"]),
            "peers": config.peers(options["peers"], region),
            "backbone": () if backbone is None else config.backbone(backbone),
            "issuer": None if issuer is None else config.issuer(issuer),
            "metrics_listen": None if listen is None else config.address(listen),
        }
    )


def main() -> NoReturn:
    """Run the command line: one clear line per fault, never a traceback for what the user can mend."""
    try:
        code = cli(prog_name="stsd", standalone_mode=False)
    except click.ClickException as error:
        _fail(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(code or 0)


def _fail(text: str) -> NoReturn:
    for line in text.splitlines():
        click.echo(f"stsd: {line}", err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
