"""Rollouts: steps, analysis, promotion, rollback. Their only output is overrides of weights.

The core is pure: ``plan`` is what a document wants, ``observation`` what was seen, ``analysis`` what that
shows, ``state`` the table of all states, ``machine`` what an event does, ``simulation`` a rollout in virtual
time.

``rollouts`` runs them: ``services`` is what it knows of the pipeline, ``load_tally`` adds up load reports,
``decisions`` keeps what is decided and puts it in force, ``outside`` asks webhooks and Prometheus.

``store`` is where ``kept_states`` are: files, or Nacos (``nacos_store``), where replicas share them;
``lease`` says which of them leads, ``replica_loads`` brings it the reports of the others.
"""

from xds.rollout.kept_states import KeptStates
from xds.rollout.lease import Lease
from xds.rollout.load_tally import LoadTally, Sample
from xds.rollout.machine import Command, CommandRefusedError
from xds.rollout.outside import Outside
from xds.rollout.replica_loads import ReplicaLoads
from xds.rollout.rollouts import Alone, Replicas, Rollouts
from xds.rollout.services import PipelineServices
from xds.rollout.shared import SharedReplicas
from xds.rollout.state import State
from xds.rollout.store import FileStore, StoreError

__all__ = [
    "Alone",
    "Command",
    "CommandRefusedError",
    "FileStore",
    "KeptStates",
    "Lease",
    "LoadTally",
    "Outside",
    "PipelineServices",
    "ReplicaLoads",
    "Replicas",
    "Rollouts",
    "Sample",
    "SharedReplicas",
    "State",
    "StoreError",
]
