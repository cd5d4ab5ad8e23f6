"""Until when certificates are valid: what metrics say, and when the log warns."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from structlog.testing import capture_logs

from tests.harness.certificates import Authority
from xds.composition.certificate_expiry import CertificateExpiry, certificate_files
from xds.settings import Settings

DAY = timedelta(days=1)


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


def test_it_warns_once_a_day_until_the_file_is_renewed(tmp_path: Path) -> None:
    clock = Clock()
    valid = 100 * DAY
    pair = Authority(tmp_path).issue("server", dns=["a"], valid=valid)
    expiry = CertificateExpiry({pair.certificate: min}, clock)

    def said() -> list[str]:
        with capture_logs() as log:
            expiry.look()
            expiry.look()
        return [entry["event"] for entry in log]

    assert said() == []
    assert expiry.timestamps()[str(pair.certificate)] - (clock.now + valid).timestamp() < 2
    clock.now += 87 * DAY
    assert said() == ["certificate expires soon"]
    clock.now += DAY / 2
    assert said() == []
    clock.now += DAY / 2
    assert said() == ["certificate expires soon"]
    clock.now += 13 * DAY
    assert said() == ["certificate has expired"]
    pair.certificate.write_text("half written")
    assert said() == []
    assert str(pair.certificate) in expiry.timestamps()
    Authority(tmp_path / "next").issue("server", dns=["a"], valid=200 * DAY).copy_to(pair)
    assert said() == []
    assert expiry.timestamps()[str(pair.certificate)] > (clock.now + 90 * DAY).timestamp()


def test_the_first_of_a_chain_counts_and_the_last_of_authorities(tmp_path: Path) -> None:
    short, long = (Authority(tmp_path).issue(str(days), dns=["a"], valid=days * DAY) for days in (5, 50))
    both = tmp_path / "both.pem"
    both.write_bytes(short.certificate.read_bytes() + long.certificate.read_bytes())
    paths = {"certificate": str(both), "key": "k"}
    grants = [{"identity": "uri:a", "roles": ["edge"]}]
    chain = {**paths, "client_ca": "other"}
    authorities = {**paths, "certificate": "other", "client_ca": str(both)}
    now = datetime.now(UTC)
    for settings, days in (
        ({"xds": {"grants": grants, "tls": chain}}, 5),
        ({"xds": {"grants": grants, "tls": authorities}}, 50),
        ({"http": {"tls": paths}}, 5),
        ({"edge": {"https_port": 10443}, "certificates": [paths]}, 5),
    ):
        files = certificate_files(Settings.model_validate(settings))
        expiry = CertificateExpiry(files, lambda: now)
        expiry.look()
        [at] = expiry.timestamps().values()
        assert abs(at - (now + days * DAY).timestamp()) < 5
