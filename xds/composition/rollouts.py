"""Composition of rollouts: where states are kept, and who leads, follow from where documents come from."""

import secrets
import socket
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xds.pipeline import Pipeline
from xds.rollout import (
    Alone,
    FileStore,
    KeptStates,
    Lease,
    LoadTally,
    Outside,
    PipelineServices,
    ReplicaLoads,
    Replicas,
    Rollouts,
    SharedReplicas,
)
from xds.settings import Settings
from xds.status import Status

Task = Callable[[], Coroutine[Any, Any, None]]


def rollouts_of(settings: Settings, pipeline: Pipeline, status: Status) -> tuple[Rollouts, tuple[Task, ...]]:
    """Make the rollouts of a server, and what must run for them besides ``Rollouts.run``."""
    at = settings.rollouts
    local = FileStore(settings.state_dir / "rollouts")
    tally = LoadTally()
    kept = KeptStates(local, local)
    replicas: Replicas = Alone()
    tasks: tuple[Task, ...] = ()
    secret = at.webhook_secret.get_secret_value() if at.webhook_secret else None
    if settings.source == "nacos" and settings.nacos.status_group:
        kept, replicas, tasks = _shared(settings, settings.nacos.status_group, local, tally)
    rollouts = Rollouts(
        PipelineServices(pipeline, status),
        kept,
        Outside(at.prometheus, secret, at.allowed_webhooks, settings.http.port),
        replicas,
        tally,
        wall_clock=lambda: datetime.now(UTC),
        tick=min(1.0, at.report_interval / 2),
    )
    return rollouts, tasks


def _shared(
    settings: Settings, group: str, local: FileStore, tally: LoadTally
) -> tuple[KeptStates, SharedReplicas, tuple[Task, ...]]:
    from xds.rollout.nacos_store import NacosStore  # noqa: PLC0415  # the SDK of Nacos is slow to load

    store = NacosStore(settings.nacos.client_settings(), group)
    lease = Lease(store, _replica(settings.state_dir), time.monotonic)
    loads = ReplicaLoads(store, lease.replica, tally, lambda: lease.held.replicas)
    replicas = SharedReplicas(lease, loads, settings.rollouts.report_interval, time.monotonic)
    return KeptStates(store, local), replicas, (store.run, lease.run)


def _replica(state_dir: Path) -> str:
    """Return the name of this replica: made once, and the same after a restart."""
    file = state_dir / "replica"
    if file.exists():
        return file.read_text(encoding="ascii").strip()
    host = "".join(char if char.isalnum() else "-" for char in socket.gethostname())[:40]
    name = f"{host}-{secrets.token_hex(4)}"
    state_dir.mkdir(parents=True, exist_ok=True)
    file.write_text(name + "\n", encoding="ascii")
    return name
