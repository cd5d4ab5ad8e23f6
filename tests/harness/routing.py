"""What tests read documents with: at one fixed time."""

from datetime import UTC, datetime

from xds.routing import Routing, Surroundings, routing_of
from xds.rules.model import RuleDocument

NOW = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)  # a Wednesday


def routing(service: str, document: RuleDocument | None, surroundings: Surroundings | None = None) -> Routing:
    """Say what a document decides for a service."""
    return routing_of(service, document, NOW, surroundings or Surroundings())
