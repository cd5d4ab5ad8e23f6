"""Composition: every layer but the source, wired together.

It takes half a second to import, most of that for the messages of Envoy: ``xds.app`` has the source asked
before it does so.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Set
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import structlog

from xds.cache import Cache, Ref, View
from xds.composition.author_status import author_status
from xds.composition.edit_traces import edit_traces_of
from xds.composition.http_port import Answering, HttpPort, HttpSinks, http_context, rest_is_closed
from xds.composition.listeners import listener_settings
from xds.composition.port_security import (
    authorization_of,
    follow_revocations,
    revocation_list,
    tls_files,
)
from xds.composition.rollouts import rollouts_of
from xds.composition.xds_port import SERVER_PROCESS, limits_of, xds_server
from xds.documents import DocumentId, Origin
from xds.errors import BindError
from xds.http import Readiness, ServedFrom
from xds.http.events import Events
from xds.http.metrics import Metrics
from xds.pipeline import (
    CertificateFile,
    CertificateFiles,
    CompilationSettings,
    Pipeline,
    keep_route_modes,
)
from xds.protocol import Event
from xds.rules.instance import ServiceId
from xds.server import (
    Authorization,
    ClusterLoad,
    LoggedRequest,
    Peer,
    StreamInfo,
    TlsError,
    XdsServer,
)
from xds.server.rest import discovery_app
from xds.server_processes import Admission, Reported, ServerProcesses
from xds.settings import Settings
from xds.snapshot import SnapshotStore, SnapshotWriter
from xds.sources.base import SourceStatus
from xds.sources.change_buffer import ChangeBuffer
from xds.sources.watched_services import Needs, WatchedServices
from xds.status import LogSink, Sink, Status, StatusFiles
from xds.validation import EnvoyValidator
from xds.views import (
    Cohorts,
    CompiledService,
    GrpcClientGroup,
    NodeGroup,
    RouteModeSwitches,
    Services,
    SidecarGroup,
    Stage,
    UnknownNode,
    node_group_of,
)
from xds.wire import Node

_log = structlog.get_logger(__name__)

_IN_STEP_POLL = 0.1
"""Seconds between looks whether the pipeline is in step with the source."""


class ControlPlane:
    """Takes what is put into the change buffer to proxies, over gRPC and HTTP."""

    def __init__(
        self,
        settings: Settings,
        buffer: ChangeBuffer,
        source_status: Callable[[], SourceStatus] = SourceStatus,
        watched: WatchedServices | None = None,
    ) -> None:
        self._settings = settings
        self._source_status = source_status
        self._snapshot = SnapshotWriter(SnapshotStore(snapshot_path(settings), CompiledService))
        switches = RouteModeSwitches(lambda served: keep_route_modes(self._snapshot, served))
        self._certificates = CertificateFiles(
            CertificateFile(pair.certificate, pair.key, pair.gateways) for pair in settings.certificates
        )
        listeners = listener_settings(settings, self._certificates)
        self._services = Services(Cache(), listeners, switches, self._view_changed, self._view_kept)
        http_sinks = HttpSinks(Metrics(settings.source), Events())
        self._metrics = http_sinks.metrics
        self._cohorts = Cohorts(
            partial(node_group_of, namespace_of=settings.namespace_of), partial(_stages, settings)
        )
        sinks: list[Sink] = [LogSink(lambda: source_status().as_dict()), *http_sinks.all()]
        if traces := edit_traces_of(settings.tracing):
            sinks.append(traces.sink)
        self._traces = traces
        self.status = Status(
            sinks,
            self._services.groups_of,
            group_of=self._cohorts.group_of,
            is_before=self._services.is_before,
        )
        self._revoked = revocation_list(settings.xds.tls)
        authorization = authorization_of(settings, self._metrics.denied, self._revoked)
        self._server = self._server_of(settings, authorization)
        self._processes = self._server if isinstance(self._server, ServerProcesses) else None
        discovery = discovery_app(
            self._view_of,
            self,
            serving=lambda: self._server.serving,
            limits=limits_of(settings),
            authorization=authorization,
            closed=rest_is_closed(settings),
        )
        self._buffer = buffer
        at = settings.validation
        self._validator = EnvoyValidator(at.envoy, at.timeout) if at.envoy else None
        self._pipeline = Pipeline(
            self._buffer,
            self._services,
            self._snapshot,
            self.status,
            self._server.open,
            settings=CompilationSettings(
                exact_only=settings.exact_only,
                lacks_certificate=self._lacks_certificate,
                naming_groups=settings.naming_groups,
                aliases_of=settings.aliases_of,
                region_header=settings.region_header,
                bucket_by=settings.bucket_by,
                webhook_hosts=settings.rollouts.allowed_webhooks,
            ),
            cohorts=self._cohorts,
            soaks=_soaks(settings),
            validator=self._validator,
            watched=watched,
        )
        self.rollouts, self._rollout_tasks = rollouts_of(settings, self._pipeline, self.status)
        self.rollouts.tally.changed = self._server.load_wanted_changed
        answering = Answering(
            self._pipeline,
            self.status,
            self.rollouts,
            discovery,
            source_status=source_status,
            changes=lambda: self._services.changes,
            readiness=self._readiness,
            pushes=lambda: self._server.pushes,
            validator=self._validator,
            server_processes=self._processes,
        )
        self._http = HttpPort(settings, http_sinks, answering, http_context(settings))

    def _server_of(
        self, settings: Settings, authorization: Authorization | None
    ) -> XdsServer | ServerProcesses:
        if settings.xds.processes == 1:
            return xds_server(
                settings,
                self._view_of,
                self,
                group_of=self._cohorts.group_of,
                clusters_of=self._clusters_of,
                loads=self._load_reported,
                requests=self._requests_logged,
                authorization=authorization,
            )
        return ServerProcesses(
            settings.xds.processes,
            SERVER_PROCESS,
            settings,
            view_of=self._view_of,
            observer=self,
            reported=Reported(
                self._load_reported,
                self._requests_logged,
                denied=self._metrics.denied,
                asked=self._cohorts.opened,
                settled=self._cohorts.closed,
                views_released=self._services.leave_unwatched,
                loop_delays=self._metrics.loop_delays,
            ),
            load_wanted=self._load_wanted,
            admission=Admission(settings.limits.streams, settings.limits.streams_per_node),
        )

    async def run(self, source: Awaitable[None], *others: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Listen and serve until something fails, the source or others too, or we are cancelled.

        Raise ``BindError`` if an address is taken.
        """
        at = self._settings
        self._certificates.read()
        http_port = self._http.bind()
        try:
            xds_port = await self._start_xds()
            _log.info("listening", xds=f"{at.xds.address}:{xds_port}", http=f"{at.http.address}:{http_port}")
            await self.rollouts.restore()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._http.run())
                for run in (self.rollouts.run, *self._rollout_tasks):
                    tasks.create_task(run())
                tasks.create_task(self._snapshot.run())
                tasks.create_task(self._pipeline.run())
                tasks.create_task(self._pipeline.serving.run_checks())
                if self._revoked:
                    tasks.create_task(follow_revocations(self._revoked, self._server.end_revoked))
                if self._traces:
                    tasks.create_task(self._traces.run(self.status.document))
                if at.source == "files":
                    tasks.create_task(
                        StatusFiles(self.status, at.state_dir / "status", self.status_dict).run()
                    )
                for other in others:
                    tasks.create_task(other())
                tasks.create_task(self._certificates.follow(self._services.renew_listeners))
                await source
        finally:
            self._http.close()
            self._cohorts.hold()
            await self._server.stop()
            await self._snapshot.flush()

    async def _start_xds(self) -> int:
        at = self._settings.xds
        try:
            return await self._server.start(at.address, at.port, tls_files(at.tls))
        except BindError as error:
            raise BindError(f"xds.port: {error}") from error
        except TlsError as error:
            raise BindError(f"xds.tls: {error}") from error

    def _readiness(self) -> Readiness:
        served_from = ServedFrom.NOTHING
        if self._server.serving:
            served_from = ServedFrom.SOURCE if self._pipeline.in_step else ServedFrom.LAST_KNOWN_GOOD
        troubles = [self._buffer.trouble.reason, self._snapshot.trouble]
        if self._processes:
            troubles.append(self._processes.trouble)
            served_from = served_from if self._processes.running else ServedFrom.NOTHING
        if self._validator and self._validator.trouble:
            troubles.append(f"validation.envoy: documents are pushed unchecked: {self._validator.trouble}")
        trouble = "; ".join(filter(None, troubles)) or None
        return Readiness(served_from, trouble, self._source_status())

    async def once_in_step(self, run: Callable[[], Awaitable[None]]) -> None:
        """Run something once what is served is what the source says."""
        while not self._pipeline.in_step:  # noqa: ASYNC110  # no event, and waited for once
            await asyncio.sleep(_IN_STEP_POLL)
        await run()

    def status_dict(self, document: DocumentId) -> Mapping[str, Any] | None:
        """Return the status of a document as authors read it; None if there is no such document."""
        return author_status(document, self.status, self._pipeline, self.rollouts)

    def opened(self, stream: StreamInfo) -> None:
        """Note a stream (``Observer``)."""
        self._cohorts.opened(stream.node)
        self.status.opened(stream)

    def answered(self, stream: StreamInfo, event: Event) -> None:
        """Note an ACK or a NACK (``Observer``)."""
        self.status.answered(stream, event)
        self._pipeline.serving.answered(stream, event)

    def in_step(self, stream: StreamInfo, generation: int, rejected: Set[Ref]) -> None:
        """Note that a client has all of its view (``Observer``)."""
        self.status.in_step(stream, generation, rejected)
        self._pipeline.serving.in_step(stream, generation, rejected)

    def closed(self, stream: StreamInfo) -> None:
        """Forget a stream, and the view of its group if it was the last (``Observer``)."""
        self.status.closed(stream)
        self._services.leave(self._cohorts.group_of(stream.node))
        self._cohorts.closed(stream.node)

    def _load_reported(self, node: Node, loads: tuple[ClusterLoad, ...]) -> None:
        group = self._cohorts.group_of(node)
        if not isinstance(group, UnknownNode):
            self.rollouts.tally.reported(
                group.namespace, node.id, loads, zones_are_subsets=isinstance(group, GrpcClientGroup)
            )

    def _requests_logged(self, node: Node, requests: tuple[LoggedRequest, ...]) -> None:
        group = self._cohorts.group_of(node)
        if not isinstance(group, UnknownNode):
            self.rollouts.tally.logged(group.namespace, node.id, requests)

    def _clusters_of(self, namespace: str) -> tuple[str, ...]:
        return self.rollouts.tally.clusters(namespace)

    def _load_wanted(self) -> Mapping[str, tuple[str, ...]]:
        return self.rollouts.tally.by_namespace()

    def _view_changed(
        self, group: NodeGroup, generation: int, services: Mapping[ServiceId, Set[Origin]], *, sent: bool
    ) -> None:
        self._pipeline.serving.view_changed(group, generation, services, sent=sent)

    def _view_kept(self, group: NodeGroup, *, kept: bool) -> None:
        self._pipeline.reads.hold(group, _needs_of(group) if kept else None)

    def _lacks_certificate(self, gateway: str, host: str) -> bool:
        if self._settings.edge_of(gateway).https_port is None:
            return False
        return not any(certificate.covers(host) for certificate in self._certificates.of_group(gateway))

    async def _view_of(self, node: Node, _: Peer) -> View:
        group = self._cohorts.group_of(node)
        if isinstance(group, GrpcClientGroup):
            self._pipeline.serve_grpc_clients()
        if isinstance(group, UnknownNode):
            _log.warning("a client says nothing that can be served", node=node.id, reason=group.reason)
        if self._services.view(group) is None:
            # A client would take what was not read yet for what does not exist.
            await self._pipeline.reads.available(_needs_of(group))
        return self._services.view_of(group, time.time())


def _needs_of(group: NodeGroup) -> Needs | None:
    """Return what the nodes of a group need beside what rules do: edges see only services with rules."""
    if isinstance(group, SidecarGroup | GrpcClientGroup):
        return Needs(group.namespace, group.upstreams)
    return None


def _stages(settings: Settings, group: str) -> list[Stage]:
    """Return the stages of a proxy group but the last, which is for all that are left."""
    stages = settings.groups[group].stages if group in settings.groups else ()
    return [Stage(each.count, each.share, each.labels, each.soak.total_seconds()) for each in stages[:-1]]


def _soaks(settings: Settings) -> list[float]:
    """Return the longest soak time of each stage that any group has."""
    stages = [_stages(settings, group) for group in settings.groups]
    return [max(each.soak for each in at) for at in zip_longest(*stages, fillvalue=Stage())]


def snapshot_path(settings: Settings) -> Path:
    """Return where the snapshot is: one file per source; what another one said is not to be served."""
    several = settings.nacos.namespaces or settings.nacos.naming_groups
    of = (
        settings.nacos.server,
        settings.nacos.namespace,
        settings.nacos.rules_group,
        settings.nacos.naming_group,
        *((settings.nacos.namespaces, settings.nacos.naming_groups) if several else ()),
    )
    identity = repr(of) if settings.source == "nacos" else str(settings.files.rules.resolve())
    digest = hashlib.blake2b(identity.encode(), digest_size=6).hexdigest()
    return settings.state_dir / f"snapshot-{settings.source}-{digest}.sqlite"
