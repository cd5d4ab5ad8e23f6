"""Settings of rollouts."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from xds.rules.webhook_hosts import WebhookHosts, check_pattern
from xds.settings.section import NonEmpty, Section


class Rollouts(Section):
    """Rollouts. ``webhook_secret`` signs webhooks, which call ``webhook_hosts`` alone (``xds.rules``).

    ``prometheus`` is the URL that queries are sent to.
    """

    report_interval: Annotated[float, Field(ge=0.1, le=300)] = 5.0
    latency_cluster: NonEmpty | None = "grayplane"
    prometheus: str | None = None
    webhook_secret: SecretStr | None = None
    webhook_hosts: tuple[Annotated[str, AfterValidator(check_pattern)], ...] = ("*",)

    @property
    def allowed_webhooks(self) -> WebhookHosts:
        """The hosts that webhooks may call."""
        return WebhookHosts(self.webhook_hosts)
