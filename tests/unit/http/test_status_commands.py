"""`grayplane status`, `proxies`, `explain` and `top` against a real HTTP server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from tests.harness.api_backend import SampleBackend
from tests.harness.api_site import Site
from tests.harness.certificates import Authority
from tests.harness.ports import free_port
from xds.cli.commands import app
from xds.cli.output import PlainTable
from xds.http.access import Role, Token, new_token
from xds.server import TlsFiles
from xds.server.tls import http_context


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site(SampleBackend(services=5, proxies=5)).running() as running:
        yield running


def grayplane(*arguments: str, site: Site | None = None, **environment: str) -> Result:
    server = ["--server", site.url] if site else []
    return CliRunner().invoke(app, [*arguments, *server], env=environment)


def test_status_shows_every_service_and_what_is_wrong(site: Site) -> None:
    result = grayplane("status", site=site)
    assert result.exit_code == 1, "documents are rejected"
    assert "reviews" in result.stdout
    assert "ramp: gray 5 %, stable 95 %" in result.stdout
    assert "2 Programmed, 1 Programming, 1 Quarantined, 1 Rejected" in result.stdout
    assert "service-4.yaml" in result.stdout


def test_status_of_one_service(site: Site) -> None:
    good = grayplane("status", "reviews", site=site)
    assert good.exit_code == 0
    assert "subset gray (version=v2): 1 instance\n" in good.stdout
    bad = grayplane("status", "service-4", site=site)
    assert bad.exit_code == 1
    assert 'service-4.yaml:10:18: error: http[0].route[1].subset: there is no subset "gry"' in bad.stdout


def test_a_document_of_no_service_is_found_by_the_name_of_its_service(site: Site) -> None:
    """As for one that was never in force: its author asks by the name that it would have."""
    site.backend.forget("service-4")
    by_service, by_name = (grayplane("status", each, site=site) for each in ("service-4", "service-4.yaml"))
    assert by_service.stdout == by_name.stdout
    assert by_service.stdout.startswith("service-4.yaml  Rejected\n")
    assert by_service.exit_code == 1


@pytest.mark.parametrize(
    ("width", "shown"), [(80, "NAME STATE ADDRESS"), (60, "NAME STATE"), (22, "NAME STATE")]
)
def test_columns_that_do_not_fit_are_left_out(width: int, shown: str) -> None:
    table = PlainTable(
        ["name", "state", "address"], [["edge-7", "in step", "x" * 50], ["版本" * 3, "behind", ""]]
    )
    console = Console(width=width)
    with console.capture() as captured:
        console.print(table)
    titles, first, second = captured.get().splitlines()
    assert titles.split() == shown.split()
    assert first.startswith("edge-7         in step")
    assert second.startswith("版本版本版本   behind")


def test_proxies_and_one_proxy(site: Site) -> None:
    listed = grayplane("proxies", site=site).stdout
    assert [line.split()[0] for line in listed.splitlines()[1:]] == [f"edge-{n}" for n in range(5)]
    behind = grayplane("proxies", "--state", "behind", site=site).stdout
    assert [line.split()[0] for line in behind.splitlines()[1:]] == ["edge-1"]
    one = grayplane("proxies", "edge-1", site=site).stdout
    assert "  does not run yet: reviews.yaml, revision 290e19b340df9087\n" in one
    assert "  runs service-1.yaml, revision 290e19b340df9087\n" in one


@pytest.mark.parametrize(
    "command", [("status",), ("status", "reviews"), ("proxies",), ("proxies", "edge-1"), ("top",)]
)
def test_everything_is_there_as_json(site: Site, command: tuple[str, ...]) -> None:
    assert json.loads(grayplane(*command, "--output", "json", site=site).stdout)


def test_a_request_is_explained_by_what_is_in_force(site: Site) -> None:
    result = grayplane("explain", "reviews", "--header", "x-release=none", site=site)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        "testers: no; header x-release is absent",
        "ramp: yes; it matches every request",
        "",
        "it goes to",
        "  reviews|stable  95 %",
        "  reviews|gray  5 %",
    ]
    found = json.loads(grayplane("explain", "reviews", "--output", "json", site=site).stdout)
    assert found["service"] == "reviews"
    assert found["considered"][1] == {"rule": "ramp", "percent": 100, "why": "it matches every request"}


@pytest.mark.parametrize("more", [("reviews.yaml",), ("--at", "2026-11-26")])
def test_a_server_is_asked_about_what_is_in_force_alone(site: Site, more: tuple[str, ...]) -> None:
    result = grayplane("explain", "reviews", *more, site=site)
    assert result.exit_code == 2
    assert "neither files nor --at" in result.stderr


def test_pages_are_put_together() -> None:
    with Site(SampleBackend(services=1203, proxies=1)).running() as site:
        found = json.loads(grayplane("status", "--output", "json", site=site).stdout)
    assert len(found["services"]) == 1203


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("status", "none"), "there is no service none, and no document of it"),
        (("proxies", "none"), "there is no proxy none"),
        (("explain", "none"), "there is no service none"),
        (("proxies", "--state", "asleep", "--output", "xml"), "neither text nor json"),
    ],
)
def test_what_is_not_there_is_one_line(site: Site, arguments: tuple[str, ...], says: str) -> None:
    result = grayplane(*arguments, site=site)
    assert result.exit_code in {1, 2}
    assert says in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_a_server_that_is_not_there_is_one_line() -> None:
    result = grayplane("status", GRAYPLANE_API_URL=f"http://127.0.0.1:{free_port()}")
    assert result.exit_code == 1
    [line] = result.stderr.splitlines()
    assert "does not answer" in line
    assert "--server or GRAYPLANE_API_URL" in line


def test_a_token_is_asked_for_and_taken_from_the_environment() -> None:
    text, hashed = new_token()
    with Site(SampleBackend(), (Token("watcher", Role.VIEWER, hashed),)).running() as site:
        refused = grayplane("proxies", site=site)
        taken = grayplane("proxies", site=site, GRAYPLANE_API_TOKEN=text)
    assert refused.exit_code == 1
    assert "--token or GRAYPLANE_API_TOKEN" in refused.stderr
    assert "edge-0" in taken.stdout


def test_a_server_with_a_certificate_of_ones_own_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    pair = authority.server()
    tls = http_context(TlsFiles(pair.certificate, pair.key))
    with Site(SampleBackend(), tls=tls).running() as site:
        result = grayplane("status", site=site)
        assert result.exit_code == 1
        assert "is not trusted" in result.stderr
        assert "SSL_CERT_FILE" in result.stderr
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        assert "reviews" in grayplane("status", site=site).stdout
