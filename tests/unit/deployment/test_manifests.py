"""The files that put Grayplane on a cluster or a machine: valid, and true to the program."""

import configparser
from pathlib import Path
from typing import Any

import pytest
import yaml

from xds.package_data import package_data
from xds.settings import load

_MANIFESTS: list[dict[str, Any]] = list(
    yaml.safe_load_all(package_data("config/kubernetes/grayplane.yaml").read_text())
)


def _manifest(kind: str) -> dict[str, Any]:
    return next(each for each in _MANIFESTS if each["kind"] == kind)


@pytest.mark.parametrize("manifest", _MANIFESTS, ids=[each["kind"] for each in _MANIFESTS])
@pytest.mark.parametrize("version", ["1.29", "newest"])
def test_a_manifest_is_what_kubernetes_takes(manifest: dict[str, Any], version: str) -> None:
    import kubernetes_validate  # noqa: PLC0415  # takes a second, of one process and not of all that collect

    known = kubernetes_validate.latest_version() if version == "newest" else version
    kubernetes_validate.validate(manifest, known, strict=True)


def test_the_settings_in_the_manifest_are_settings(tmp_path: Path) -> None:
    file = tmp_path / "grayplane.yaml"
    file.write_text(_manifest("ConfigMap")["data"]["grayplane.yaml"])
    settings = load(file)
    [container] = _manifest("Deployment")["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"xds": settings.xds.port, "http": settings.http.port}


def test_the_container_may_do_nothing_that_it_need_not() -> None:
    pod = _manifest("Deployment")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not pod["enableServiceLinks"]


def test_the_unit_starts_the_command_that_there_is() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # the way to keep the case of keys
    unit.read_string(package_data("config/systemd/grayplane.service").read_text())
    assert unit["Service"]["ExecStart"].split()[1:] == ["serve", "--config", "/etc/grayplane/grayplane.yaml"]
    assert unit["Service"]["DynamicUser"] == "yes"
