"""What the demo runs, on which ports, and where its files are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from xds.settings import Settings


@dataclass(frozen=True, slots=True)
class SampleInstance:
    """One instance of a sample service, on 127.0.0.1."""

    service: str
    version: str
    port: int

    @property
    def name(self) -> str:
        """What it is called in messages and by its log."""
        return f"{self.service}-{self.version}"


def samples(
    reviews_v1: int = 9101, reviews_v2: int = 9102, ratings_v1: int = 9103
) -> tuple[SampleInstance, ...]:
    """Return the instances of the demo, on these ports."""
    return (
        SampleInstance("reviews", "v1", reviews_v1),
        SampleInstance("reviews", "v2", reviews_v2),
        SampleInstance("ratings", "v1", ratings_v1),
    )


@dataclass(frozen=True, slots=True)
class DemoDirectory:
    """The demo's files, all below one directory."""

    root: Path

    @property
    def rules(self) -> Path:
        """Rule documents, for the user to edit."""
        return self.root / "rules"

    @property
    def services(self) -> Path:
        """The instances that run, for the file source."""
        return self.root / "services"

    @property
    def access_log(self) -> Path:
        """Envoy's access log, one JSON object a line."""
        return self.root / "access.log"

    @property
    def bootstrap(self) -> Path:
        """What Envoy starts with."""
        return self.root / "envoy.yaml"

    @property
    def state(self) -> Path:
        """What Grayplane keeps between runs."""
        return self.root / "state"

    def log(self, name: str) -> Path:
        """Return where a process writes what it has to say."""
        return self.root / "logs" / f"{name}.log"

    def settings(self) -> Mapping[str, str]:
        """Return the settings of Grayplane that follow from where the demo's files are."""
        return {
            "files.rules": str(self.rules),
            "files.services": str(self.services),
            "edge.access_log": str(self.access_log),
            "state_dir": str(self.state),
            "log.format": "json",
        }


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """A demo to run. ``flags`` are those of ``grayplane serve`` that make ``settings``."""

    directory: DemoDirectory
    settings: Settings
    flags: Mapping[str, str]
    admin_port: int = 9901
    samples: tuple[SampleInstance, ...] = field(default_factory=samples)

    @property
    def ports(self) -> Mapping[int, str]:
        """Every port of 127.0.0.1 that the demo listens on, with what for."""
        return {
            self.settings.xds.port: "xDS",
            self.settings.http.port: "HTTP",
            self.settings.edge.port: "edge",
            self.admin_port: "Envoy admin",
            **{sample.port: sample.name for sample in self.samples},
        }

    def make_files(self) -> None:
        """Write the files that the demo's processes read and append to, but for the rules."""
        directory = self.directory
        directory.services.mkdir(parents=True, exist_ok=True)
        for service in {sample.service for sample in self.samples}:
            instances = [
                {"address": "127.0.0.1", "port": sample.port, "metadata": {"version": sample.version}}
                for sample in self.samples
                if sample.service == service
            ]
            file = directory.services / f"{service}.yaml"
            file.write_text(yaml.safe_dump(instances, sort_keys=False), encoding="utf-8")
        directory.log("").parent.mkdir(exist_ok=True)
        directory.access_log.write_bytes(b"")
