import json
import os
from pathlib import Path

import pytest

from xds.composition.http_port import rest_is_closed
from xds.server.limits import Limits as ServerLimits
from xds.settings import InvalidSettingsError, Limits, Nacos, Settings, flag, load

TOKEN = f"{{name: a, role: viewer, sha256: '{'0' * 64}'}}"
SHIPPED = Path(__file__).parents[2] / "config" / "grayplane.yaml"


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("GRAYPLANE_"):
            monkeypatch.delenv(name)


def settings_file(directory: Path, text: str) -> Path:
    file = directory / "grayplane.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def errors_of(directory: Path, text: str) -> list[str]:
    file = settings_file(directory, text)
    with pytest.raises(InvalidSettingsError) as caught:
        load(file)
    return [line.replace(f"{file}:", "") for line in caught.value.errors]


def test_the_shipped_file_holds_the_defaults() -> None:
    assert load(SHIPPED) == Settings()


def test_flags_beat_the_environment_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = settings_file(
        tmp_path, "xds: {address: 127.0.0.2, port: 1}\nedge: {port: 2}\nlog: {level: debug}\n"
    )
    monkeypatch.setenv("GRAYPLANE_XDS__PORT", "11")
    monkeypatch.setenv("GRAYPLANE_EDGE__PORT", "12")
    settings = load(file, [flag("edge.port", "22", "--set")])

    assert (settings.xds.address, settings.xds.port) == ("127.0.0.2", 11)
    assert settings.edge.port == 22
    assert settings.log.level == "debug"


def test_the_environment_can_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAYPLANE_CONFIG", str(settings_file(tmp_path, "drain: {seconds: 1.5}")))
    assert load().drain.seconds == 1.5


def test_settings_made_in_code_do_not_read_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAYPLANE_XDS__PORT", "1")
    assert Settings().xds.port == 18000


def test_groups_inherit_what_they_leave_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAYPLANE_GROUPS", json.dumps({"internal": {"edge": {"port": 10001}}}))
    monkeypatch.setenv("GRAYPLANE_EDGE__ADDRESS", "0.0.0.0")
    settings = load()

    assert (settings.edge_of("internal").address, settings.edge_of("internal").port) == ("0.0.0.0", 10001)
    assert settings.edge_of("any other") == settings.edge
    assert settings.sidecar_of("internal") == settings.sidecar


def test_a_section_with_everything_commented_out_sets_nothing(tmp_path: Path) -> None:
    assert load(settings_file(tmp_path, "edge:\n#  port: 1\n")) == Settings()


def test_an_empty_file_sets_nothing(tmp_path: Path) -> None:
    assert load(settings_file(tmp_path, "# nothing yet\n")) == Settings()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("xds: {prot: 1}", "1:7: unknown setting xds.prot (did you mean xds.port?)"),
        ("zzz:\n  port: 1", "2:3: unknown setting zzz (known here: source, files, nacos,"),
        (
            "groups: {b: {edge: {prot: 1}}}",
            "1:21: unknown setting groups.b.edge.prot (did you mean groups.<group>.edge.port?)",
        ),
        ("xds:\n  port: 70000", "2:3: xds.port: too big a number (at most 65535)"),
        ("log: 5", "1:1: log is a section: it holds level, format"),
        ("edge: {upgrades: [CONNECT]}", "1:8: edge.upgrades.0: CONNECT opens a tunnel to any address"),
        ("sidecar: {http10_host: a}", "1:11: sidecar: http10_host is for HTTP/1.0: set http10 to true"),
        ("edge: {address: localhost}", "1:8: edge.address: 'localhost' is not an IP address"),
        (
            "nacos: {server: nacos}",
            "1:9: nacos.server: Nacos server address 'nacos' is not host:port, such as 127.0.0.1:8848",
        ),
        ("nacos: {server: 'a:64536'}", "1:9: nacos.server: Nacos server address 'a:64536': its port must be"),
        ("nacos: {username: u}", "1:9: nacos: username and password go together"),
        ("source: nacos", "source is nacos, so nacos.server must say where it is"),
        ("sidecar: {inbound_port: 15001}", "sidecar would have outbound_port and inbound_port both 15001"),
        ("groups: {b: {sidecar: {outbound_port: 15006}}}", "groups.b.sidecar would have outbound_port"),
        ("http: {tokens: [{name: a, role: viewer, sha256: x}]}", "1:8: http.tokens"),
        (f"http: {{tokens: [{TOKEN}, {TOKEN}]}}", "1:8: http: two tokens have the name a"),
        ("source: files\nsource: files", "2:1: source is given twice, first at line 1, column 1 (keep one)"),
        ("- source", "1:1: settings are a mapping"),
        ("xds: [", "1:7: a value or a closing bracket was expected here"),
        ("? [a]\n: b", "1:3: a list or mapping cannot be a key"),
        ("xds: {port: 018000}", "1:13: xds.port: the number 018000 is not plainly decimal"),
        ("xds: {port: 1.5}", "1:7: xds.port: expected a whole number"),
        ("xds: {port: &a 1}", "1:13: xds.port: anchors and aliases"),
        ("log: {level: loud}", "1:7: log.level: expected one of debug, info, warning, error"),
        ("edge: {http10: often}", "1:8: edge.http10: expected true or false"),
        ("1: 2", "1:1: 1 the key 1 is not text"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_place(tmp_path: Path, text: str, error: str) -> None:
    [line] = errors_of(tmp_path, text)
    assert line.startswith(error)


def test_all_errors_are_reported_at_once(tmp_path: Path) -> None:
    assert len(errors_of(tmp_path, "source: file\nxds: {port: x}\ndrian: {}\n")) == 3


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingsError, match=r"none\.yaml: cannot be read: No such file"):
        load(tmp_path / "none.yaml")


def test_a_file_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"source: \xe9")
    with pytest.raises(InvalidSettingsError, match=r"latin\.yaml:1:9: byte 0xe9 is not UTF-8"):
        load(tmp_path / "latin.yaml")


def test_an_unknown_variable_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAYPLANE_NACOS_SERVER", "a:1")
    with pytest.raises(InvalidSettingsError) as caught:
        load()
    assert caught.value.errors == (
        "environment: unknown variable GRAYPLANE_NACOS_SERVER (did you mean GRAYPLANE_NACOS__SERVER?)",
    )


def test_a_wrong_variable_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAYPLANE_EDGE__PORT", "ten thousand")
    with pytest.raises(InvalidSettingsError, match=r"^environment GRAYPLANE_EDGE__PORT: edge\.port: "):
        load()


def test_groups_in_the_environment_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAYPLANE_GROUPS", "edge-b")
    with pytest.raises(InvalidSettingsError, match="GRAYPLANE_GROUPS is JSON"):
        load()


def test_a_wrong_flag_is_told_by_its_name() -> None:
    with pytest.raises(InvalidSettingsError) as caught:
        load(flags=[flag("edge.adress", "::1", "--set edge.adress")])
    assert caught.value.errors == (
        "--set edge.adress: unknown setting edge.adress (did you mean edge.address?)",
    )


def test_the_nacos_client_gets_all_of_its_settings() -> None:
    credentials = {"username": "u", "password": "p", "access_key": "a", "secret_key": "s"}
    given = {"server": "a:1,b:2", "namespace": "test", "rules_group": "R", "naming_group": "N", **credentials}
    client = Settings(source="nacos", nacos=Nacos.model_validate(given)).nacos.client_settings()[0]

    assert {name: getattr(client, name) for name in given if name != "server"} == {
        name: value for name, value in given.items() if name != "server"
    }
    assert [str(server) for server in client.servers] == ["a:1", "b:2"]


def test_secrets_are_never_printed(tmp_path: Path) -> None:
    credentials = "nacos: {server: 'a:1', username: u, password: hunter2}\n"
    settings = load(settings_file(tmp_path, credentials))
    assert settings.nacos.password is not None
    assert settings.nacos.password.get_secret_value() == "hunter2"

    printed = repr(settings) + str(settings) + settings.model_dump_json()
    refusals = errors_of(tmp_path, credentials + "source: naco\n")
    refusals += errors_of(tmp_path, "nacos: {password: hunter2}")
    refusals += errors_of(tmp_path, "nacos: {username: u, password: [hunter2]}")
    assert "hunter2" not in printed + "".join(refusals)


def test_the_default_limits_are_those_of_the_server() -> None:
    assert ServerLimits(**Limits().model_dump()) == ServerLimits()


def test_variables_that_kubernetes_makes_for_services_are_no_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "GRAYPLANE_SERVICE_HOST": "10.0.0.1",
        "GRAYPLANE_SERVICE_PORT": "18000",
        "GRAYPLANE_SERVICE_PORT_GRPC_XDS": "18000",
        "GRAYPLANE_PORT": "tcp://10.0.0.1:18000",
        "GRAYPLANE_PORT_18000_TCP": "tcp://[fd00::1]:18000",
        "GRAYPLANE_PORT_18000_TCP_PROTO": "tcp",
        "GRAYPLANE_PORT_18000_TCP_PORT": "18000",
        "GRAYPLANE_PORT_18000_TCP_ADDR": "10.0.0.1",
        "GRAYPLANE_XDS_SERVICE_HOST": "fd00::1",
        "GRAYPLANE_XDS_PORT": "tcp://10.0.0.1:18000",
    }.items():
        monkeypatch.setenv(name, value)
    assert load() == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GRAYPLANE_PORT", "18000"),
        ("GRAYPLANE_XDS_PORT", "18000"),
        ("GRAYPLANE_SERVICE_HOST", "grayplane.default"),
        ("GRAYPLANE_SERVICE_PORT", "grpc"),
        ("GRAYPLANE_PORTS", "tcp://10.0.0.1:18000"),
    ],
)
def test_what_only_looks_like_them_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettingsError, match=f"unknown variable {name}"):
        load()


TLS = "tls: {certificate: a, key: b, client_ca: c}"
GRANT = 'grants: [{identity: "uri:spiffe://prod/*", roles: [edge]}]'


@pytest.mark.parametrize(
    ("xds", "error"),
    [
        ("address: 127.0.0.1", None),
        ("address: '::1'", None),
        ("address: 0.0.0.0", "lets other machines read all configuration"),
        ("address: '::'", "lets other machines read all configuration"),
        ("address: 0.0.0.0, tls: {certificate: a, key: b}", "lets other machines read all configuration"),
        ("address: 0.0.0.0, trusted_network: true", None),
        (f"address: 0.0.0.0, {TLS}, {GRANT}", None),
        (TLS, "grants is empty: nobody would be served"),
        (GRANT, "set tls.client_ca, too"),
        (
            f"{TLS}, grants: [{{identity: spiffe://prod}}]",
            "'spiffe://prod' is no identity: such as uri:spiffe://prod/edge",
        ),
        (
            f"{TLS}, grants: [{{identity: 'dns:{{a}}.{{a}}'}}]",
            "each {word} has small letters alone and stands once",
        ),
        ("tls: {certificate: a}", "xds.tls.key"),
    ],
)
def test_the_xds_port_is_closed_to_strangers_unless_one_says_otherwise(
    tmp_path: Path, xds: str, error: str | None
) -> None:
    file = settings_file(tmp_path, f"xds: {{{xds}}}")
    if error is None:
        load(file)
        return
    with pytest.raises(InvalidSettingsError) as raised:
        load(file)
    assert error in str(raised.value)


@pytest.mark.parametrize(
    ("text", "is_closed"),
    [
        ("http: {address: 127.0.0.1}", False),
        ("http: {address: '::1'}", False),
        ("http: {address: 0.0.0.0}", True),
        ("http: {address: 0.0.0.0, tls: {certificate: a, key: b}}", True),
        ("{http: {address: 0.0.0.0}, xds: {trusted_network: true}}", False),
        (f"{{http: {{address: 0.0.0.0}}, xds: {{{TLS}, {GRANT}}}}}", False),  # the grants decide
    ],
)
def test_configuration_by_rest_is_closed_to_strangers_too(
    tmp_path: Path, text: str, *, is_closed: bool
) -> None:
    closed = rest_is_closed(load(settings_file(tmp_path, text)))
    assert bool(closed) is is_closed
    assert "trusted_network" in closed or not closed


def test_certificates_of_rest_clients_need_grants(tmp_path: Path) -> None:
    file = settings_file(tmp_path, f"http: {{{TLS}}}")
    with pytest.raises(InvalidSettingsError, match=r"xds\.grants"):
        load(file)
