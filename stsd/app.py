"""Composition root: builds one node top to bottom, runs it, and closes it in reverse."""

from __future__ import annotations

import gc
import socket
import ssl
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from random import Random
from typing import Any

import uvloop
from aiohttp import http_parser

from stsd import config, nats_layout
from stsd import world as worlds
from stsd.authz import denial_messages
from stsd.config import Config, ConfigError
from stsd.node import Node
from stsd.quota import Quota
from stsd.revocation.identity import Identities
from stsd.revocation.messages import Origin
from stsd.revocation.replica import Replica
from stsd.revocation.revocation_set import RevocationSet
from stsd.revocation.staleness import Limits
from stsd.server import test_hooks, tls
from stsd.server.backbone import Backbone
from stsd.server.backbone.http import HttpBackbone
from stsd.server.backbone.links import PATH as PEER_PATH
from stsd.server.backbone.links import PeerLinks
from stsd.server.backbone.sealing import Sealing
from stsd.server.backbone.snapshot_files import SnapshotFiles
from stsd.server.changes import Changes, PeerCalls
from stsd.server.clock import Clock, entropy
from stsd.server.ending import Ending
from stsd.server.gateway import Gateway
from stsd.server.http import HttpServer
from stsd.server.journal import Journal, JournalError
from stsd.server.keeper import Report
from stsd.server.log import EventLog
from stsd.server.membership import Membership
from stsd.server.metrics import Metrics
from stsd.server.mfa_verbs import MFAVerbs
from stsd.server.operator import OperatorSocket
from stsd.server.peer_verbs import PeerVerbs
from stsd.server.probes import MetricsListener, Probes
from stsd.server.provider_documents import Documents
from stsd.server.provider_keys import ProviderKeys
from stsd.server.readers import Readers, Snapshots
from stsd.server.replication import Replicator
from stsd.server.sponsor import PATH as JOIN_PATH
from stsd.server.sponsor import Sponsor
from stsd.server.store import SNAPSHOTS_FOLDER, DataDirectory, open_directory
from stsd.server.streams import Streams
from stsd.view import View
from stsd.wire import envelope, forwarded

DEFAULT_LIMITS = Limits()


def run(settings: Config, limits: Limits = DEFAULT_LIMITS) -> None:
    """Serve until SIGINT, or until `drain_s` after SIGTERM; `limits` say what is stale.

    Raises ConfigError when settings cannot be used.
    """
    if not hasattr(http_parser, "HttpRequestParserC"):
        print("stsd: aiohttp's C parser is missing: expect half the speed", file=sys.stderr)
    uvloop.run(_serve(settings, limits))


async def _serve(settings: Config, limits: Limits) -> None:
    ending = Ending()
    ending.listen()
    secure = tls.serving(settings)
    keys_file = settings.resource_server_keys
    resource_server_keys = config.read_resource_server_keys(keys_file) if keys_file else ()
    gc.collect()  # what imports left behind, now: later it would look at all that a long journal makes, which stays
    gc.set_threshold(50_000, 20, 50)  # nor look often while that is read
    clock = Clock()
    directory = open_directory(settings, clock.wall())
    async with AsyncExitStack() as closing:
        log = EventLog(settings.region, settings.log_format)
        closing.callback(log.close)
        journal = await Journal.open(directory.journal)
        closing.push_async_callback(journal.close)
        files = directory.files
        membership = Membership(
            directory.path, files.peers, settings.region, files.signer.public_key, {**files.node.urls, **settings.peers}
        )
        sealing = Sealing(envelope.peer_key(directory.cluster_key), settings.region, files.signer, files.peers)
        view = _view(settings, directory, clock, limits)
        backbone = _backbone(settings, directory, membership, sealing, view, clock, _reporter(log, clock))
        replicator = Replicator(
            journal,
            backbone,
            view,
            clock,
            log,
            signer=files.signer,
            cluster_key=directory.cluster_key,
            membership=membership,
        )
        replicator.follows_resets = settings.unsafe_test_hooks
        try:
            await replicator.restore(founding=files.node.founding, epoch=files.node.epoch)
        except JournalError as error:
            raise ConfigError(
                f"{directory.journal}: nothing can be stored ({error}); make room on the disk, or mend it"
            ) from error
        directory.settled()

        quota = Quota(settings.quota_per_s) if settings.quota_per_s else None
        node = Node(view, forwarded.router_key(directory.cluster_key), resource_server_keys, quota)
        metrics = Metrics(
            lambda: view.keys, replicator.counts, replicator.staleness, lambda: backbone.calls.counts, clock.service
        )
        metrics.backbone, metrics.behind = backbone.state, replicator.behind
        metrics.unknown = lambda: view.revocations.unknown
        metrics.clock_offsets = replicator.clocks.offsets_s
        replicator.on_refused = metrics.peer_message
        probes = Probes(view, metrics, replicator.staleness, clock, membership)
        changes = Changes(node, replicator, clock, metrics)
        gateway = Gateway(node, clock, metrics, log, present=changes.present, secure=secure is not None)
        streams = Streams(view, clock)
        replicator.changed = streams.changed
        readers = Readers(node, Snapshots(view, clock), streams, clock)
        sponsor = Sponsor(directory, membership, view, clock, metrics)
        provider_keys = ProviderKeys(
            view,
            Documents().fetch,
            _reporter(log, clock),
            steady=clock.steady,
            chance=Random().random,  # noqa: S311
        )
        gateway.fetch_keys = provider_keys.refresh
        hooks = test_hooks.TestHooks(clock, replicator, gateway)
        gateway.routes = {
            ("POST", "/v1/revocations"): changes.revoke,
            ("GET", "/v1/revocations"): readers.get,
            ("POST", JOIN_PATH): sponsor.join,
            ("GET", "/healthz"): probes.healthz,
            ("GET", "/readyz"): probes.readyz,
            ("GET", "/metrics"): probes.metrics,
        }
        if isinstance(backbone, HttpBackbone):
            gateway.routes |= {("POST", PEER_PATH): PeerCalls(replicator, backbone, metrics).receive}
        if settings.unsafe_test_hooks:
            gateway.routes |= {
                ("POST", test_hooks.RESET): hooks.reset,
                ("POST", test_hooks.CLOCK): hooks.clock,
                ("POST", test_hooks.CAPACITY): hooks.capacity,
                ("POST", test_hooks.FAULTS): hooks.faults,
                ("GET", test_hooks.FAULTS): hooks.tell_faults,
                ("POST", test_hooks.ENTRY): hooks.entry,
            }

        provider_keys.start()
        closing.push_async_callback(provider_keys.stop)
        replicator.start()
        closing.push_async_callback(replicator.stop)
        await replicator.first_exchange()
        server = HttpServer(gateway, gateway.unread)
        await _listen(server, "--host", "--port", settings.host, settings.port, secure)
        closing.push_async_callback(server.stop)
        closing.callback(streams.close)
        url = f"{settings.scheme}://{config.in_url(settings.host)}:{server.port}"
        view.issuer = settings.issuer or files.node.issuer or url
        if settings.metrics_listen is not None:
            extra = HttpServer(MetricsListener(metrics))
            await _listen(extra, "--metrics-listen", "--metrics-listen", *settings.metrics_listen, None)
            closing.push_async_callback(extra.stop)
        verbs = {
            "keys list": lambda _: _list_keys(view, clock),
            **PeerVerbs(membership, view).verbs(),
            **MFAVerbs(view, clock).verbs(),
        }
        operator = OperatorSocket(directory.path, verbs)
        await operator.start()
        closing.push_async_callback(operator.stop)
        if directory.standalone:
            directory.write_profiles(url, settings.region)
        gc.freeze()  # requests leave no cycles behind, so the collector need not look at what start-up made
        _announce(settings, directory, url)
        await ending.told.wait()
        probes.draining = True
        server.drain()
        await ending.drained(settings.drain_s)


def _view(settings: Config, directory: DataDirectory, clock: Clock, limits: Limits) -> View:
    """A view with an empty replica; the journal fills it in."""
    return View(
        region=settings.region,
        issuer="",
        directory=worlds.directory(directory.files.world),
        keys=directory.files.keys,
        replica=Replica(
            Origin(settings.region, "", ""),
            (),
            clock.wall(),
            signer=directory.files.signer,
            identities=Identities(directory.cluster_key),
        ),
        revocations=RevocationSet(),
        entropy=entropy,
        message_key=denial_messages.message_key(directory.cluster_key),
        limits=limits,
    )


def _reporter(log: EventLog, clock: Clock) -> Report:
    def report(event: str, **members: Any) -> None:
        log.emit(clock.wall(), {"event": event, **members})

    return report


def _backbone(
    settings: Config, directory: DataDirectory, membership: Membership, sealing: Sealing, view: View, clock: Clock,
    report: Report,
) -> Backbone:  # fmt: skip
    """What --backbone asks for. Raises ConfigError when its library is not installed."""
    if not settings.backbone:
        snapshots = SnapshotFiles(directory.path / SNAPSHOTS_FOLDER)
        return HttpBackbone(PeerLinks(sealing, tls.calling(settings)), membership, snapshots, report)
    try:
        from stsd.nats_user import User
        from stsd.server.backbone.nats import NatsBackbone
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        raise ConfigError(f"--backbone: {missing} is not installed: pip install 'stsd[nats]'") from error
    user, cluster = User.of(directory.files.signer), nats_layout.cluster_name(directory.cluster_key)
    report("backbone_user", user=user.public, cluster=cluster)
    return NatsBackbone(settings.backbone, cluster, user, membership, sealing, view, clock, report)


async def _listen(
    server: HttpServer, host_flag: str, flag: str, host: str, port: int, secure: ssl.SSLContext | None
) -> None:
    """Listen. Raises ConfigError with the flag that is to blame: of the host or of the port."""
    try:
        await server.start(host, port, secure)
    except socket.gaierror as error:
        raise ConfigError(f"{host_flag}: {host} is no address of this machine: {error.strerror}") from error
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{flag}: cannot listen on {host} port {port}: {reason}; choose another one") from error


def _list_keys(view: View, clock: Clock) -> Mapping[str, Any]:
    now = clock.service()
    keys = [{"kid": key.kid, "state": key.state, "age_s": now - key.created_at} for key in view.keys.keys]
    return {"keys": keys}


def _announce(settings: Config, directory: DataDirectory, url: str) -> None:
    if settings.unsafe_test_hooks:
        print(
            "stsd: UNSAFE TEST HOOKS ARE ON: whoever is on this machine can move the clock and reset the node",
            flush=True,
        )
    print(f"stsd {settings.region} ready on {url}", flush=True)
    if directory.standalone:
        files = f"AWS_CONFIG_FILE={directory.path}/config AWS_SHARED_CREDENTIALS_FILE={directory.path}/credentials"
        print(f"try: {files} aws --profile admin sts get-caller-identity", flush=True)
