"""The processes that the demo consists of."""

import sys
from pathlib import Path

from xds.bootstrap import BootstrapKind, Values, bootstrap
from xds.demo.child import Child
from xds.demo.plan import DemoPlan, SampleInstance

_FLUSH_EVERY = "200"  # milliseconds; with Envoy's default of 10 s the view would not be live


def processes(plan: DemoPlan, envoy: Path) -> list[Child]:
    """Return all processes, none of them started: the samples, Grayplane and the edge."""
    return [*(_sample(plan, sample) for sample in plan.samples), _grayplane(plan), _edge(plan, envoy)]


def _sample(plan: DemoPlan, sample: SampleInstance) -> Child:
    environment = {
        "SERVICE_NAME": sample.service,
        "SERVICE_VERSION": sample.version,
        "SERVICE_PORT": str(sample.port),
    }
    if plan.settings.source == "nacos" and plan.settings.nacos.server is not None:
        environment |= {"SERVICE_REGISTRY": "nacos", "GRAYPLANE_NACOS__SERVER": plan.settings.nacos.server}
    command = [sys.executable, "-m", "xds.demo.sample"]
    return Child(sample.name, plan.directory.log(sample.name), command, environment)


def _grayplane(plan: DemoPlan) -> Child:
    flags = [part for path, value in plan.flags.items() for part in ("--set", f"{path}={value}")]
    command = [sys.executable, "-m", "xds", "serve", *flags]
    return Child("grayplane", plan.directory.log("grayplane"), command)


def _edge(plan: DemoPlan, envoy: Path) -> Child:
    xds = plan.settings.xds
    values = Values(id="demo-edge", xds=(xds.address, xds.port), admin_port=plan.admin_port)
    plan.directory.bootstrap.write_text(bootstrap(BootstrapKind.EDGE, values), encoding="utf-8")
    options = [
        *("--config-path", str(plan.directory.bootstrap)),
        *("--file-flush-interval-msec", _FLUSH_EVERY),
        "--use-dynamic-base-id",
    ]
    return Child("envoy", plan.directory.log("envoy"), [envoy, *options])
