"""What the author of a document is told of it, in the status documents of Nacos and of files."""

from collections.abc import Mapping
from typing import Any

from xds.documents import DocumentId, is_encrypted, revision_of
from xds.http.api.rollouts import overrides_of
from xds.http.api.splits import splits_in_force
from xds.pipeline import Pipeline
from xds.rollout import Rollouts
from xds.rules.instance import ServiceId
from xds.status import Status


def author_status(
    document: DocumentId, status: Status, pipeline: Pipeline, rollouts: Rollouts
) -> Mapping[str, Any] | None:
    """Return the status of a document as its author reads it; None if there is no such document."""
    found = status.document(document)
    if found is None or found.revision is None:
        return None
    text = pipeline.texts.get(document)
    is_latest = text is not None and revision_of(text) == found.revision
    # The console of Nacos shows the MD5 of a configuration: so an author sees which text this is about.
    written = found.as_dict(text if is_latest and not is_encrypted(document.name) else None)
    for service in found.services:
        written |= _split(service, pipeline, rollouts) | _rollout(service, rollouts)
    return written


def _split(service: ServiceId, pipeline: Pipeline, rollouts: Rollouts) -> dict[str, Any]:
    rule = pipeline.documents.rule(service)
    overrides = overrides_of(rollouts, service)
    splits = splits_in_force(rule, overrides, pipeline.instances_of(service))
    return {"split": {split.rule: dict(split.weights) for split in splits}} if splits else {}


def _rollout(service: ServiceId, rollouts: Rollouts) -> dict[str, Any]:
    if service not in rollouts.ids():
        return {}
    state = rollouts.state(service)
    told = {
        "state": state.phase.value,
        "revision": state.plan.revision,
        "step": state.step + 1,
        "of": len(state.plan.steps),
        "since": state.since.isoformat(timespec="seconds"),
        "verdict": state.verdict.result.value if state.verdict else None,
        "why": state.why,
    }
    return {"rollout": told}
