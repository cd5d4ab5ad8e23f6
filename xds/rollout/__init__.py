"""Rollouts: steps, analysis, promotion, rollback. Their only output is overrides of weights.

The core is pure: `plan` is what a document wants, `observation` what was seen, `analysis` what that shows,
`state` the table of all states, `machine` what an event does, `simulation` a rollout in virtual time.

`rollouts` runs them: `services` is what it knows of the pipeline, `load_tally` adds up load reports, `store`
keeps states, `outside` asks webhooks and Prometheus.
"""

from xds.rollout.load_tally import Sample
from xds.rollout.machine import Command, CommandRefusedError
from xds.rollout.outside import Outside
from xds.rollout.rollouts import Alone, Rollouts
from xds.rollout.services import PipelineServices
from xds.rollout.state import State
from xds.rollout.store import FileStore, StoreError

__all__ = [
    "Alone",
    "Command",
    "CommandRefusedError",
    "FileStore",
    "Outside",
    "PipelineServices",
    "Rollouts",
    "Sample",
    "State",
    "StoreError",
]
