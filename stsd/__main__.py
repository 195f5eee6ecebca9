"""The command line of one node: `stsd serve`, `stsd revoke`, `stsd keys list`.

Exit codes: 0 fine, 1 it ran and the answer is no, 2 bad usage or configuration, with one line per fault.
"""

from __future__ import annotations

import sys
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
@click.option("--region", default=config.DEFAULT_REGION, show_default=True, help="The region this node is.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=config.DEFAULT_PORT, show_default=True, help="0: any.")
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), default=Path(".stsd-node"),
              show_default=True, help="State of this node; made when it does not exist.")  # fmt: skip
@click.option("--world", type=FILE, help="Accounts, users, roles and policies to start from (YAML or JSON).")
@click.option("--issuer", help="`iss` of session tokens, one for the whole cluster. Default: this node's URL.")
@click.option("--cluster-key", type=FILE, help="The cluster's key. Default: cluster.key in the data directory.")
@click.option("--peer", "peers", multiple=True, metavar="REGION=URL", help="Another region's node; repeat for each.")
@click.option("--tls-cert", type=FILE, help="Certificate chain (PEM): serve https.")
@click.option("--tls-key", type=FILE, help="Private key of --tls-cert (PEM).")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--metrics-listen", metavar="HOST:PORT", help="Serve /metrics here too; needed off loopback.")
@click.option("--resource-server-keys", type=FILE, help="Keys of verifiers that are not on loopback, one a line.")
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


def _settings(options: dict[str, Any]) -> Config:
    region = config.region(options["region"])
    if (options["tls_cert"] is None) != (options["tls_key"] is None):
        raise ConfigError("--tls-cert and --tls-key: give both or neither")
    if options["unsafe_test_hooks"] and not config.is_loopback_host(options["host"]):
        raise ConfigError("--unsafe-test-hooks: only with a loopback --host, such as 127.0.0.1")
    listen, issuer = options["metrics_listen"], options["issuer"]
    return Config(
        **options
        | {
            "region": region,
            "host": config.host(options["host"]),
            "peers": config.peers(options["peers"], region),
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
