"""What is taken from certificate files, and what is told of those that cannot be used."""

from pathlib import Path

import pytest

from tests.harness.certificates import Authority
from xds.compiler.certificates import Certificate
from xds.pipeline.certificates import CertificateFile, CertificateFiles, load_certificate


def test_hosts_are_those_that_the_certificate_names(tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue("a", dns=["a.example.com", "*.b.example.com"], ips=["10.0.0.1"])
    certificate, _ = load_certificate(CertificateFile(pair.certificate, pair.key))
    assert certificate.hosts == ("a.example.com", "*.b.example.com")
    assert certificate.chain == pair.certificate.read_bytes()
    assert "PRIVATE" not in repr(certificate)


def test_what_is_wrong_is_told_by_its_file(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, two = authority.issue("one", dns=["a"]), authority.issue("two", dns=["b"])
    nameless = authority.issue("nameless")
    for certificate, key, problem in (
        (one.key, one.key, "one.key holds no certificate in PEM"),
        (one.certificate, one.certificate, "one.crt holds no private key in PEM without a password"),
        (one.certificate, two.key, "two.key is not the key of .*one.crt"),
        (nameless.certificate, nameless.key, "nameless.crt names no host"),
    ):
        with pytest.raises(ValueError, match=problem):
            load_certificate(CertificateFile(certificate, key))


def test_a_group_gets_its_own_and_those_of_all(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, two = authority.issue("one", dns=["a"]), authority.issue("two", dns=["b"])
    files = CertificateFiles(
        [CertificateFile(one.certificate, one.key), CertificateFile(two.certificate, two.key, ("internal",))]
    )
    assert files.read()
    assert not files.read(), "nothing changed"
    assert [certificate.hosts for certificate in files.of_group("edge")] == [("a",)]
    assert [certificate.hosts for certificate in files.of_group("internal")] == [("a",), ("b",)]


def test_the_last_good_one_stays_until_the_next_is_whole(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("one", dns=["a"])
    files = CertificateFiles([CertificateFile(pair.certificate, pair.key)])
    files.read()
    before = files.of_group("edge")
    next_pair = authority.issue("two", dns=["a"])
    pair.certificate.write_bytes(next_pair.certificate.read_bytes())
    assert not files.read(), "the key is still the old one's"
    assert files.of_group("edge") == before
    pair.key.write_bytes(next_pair.key.read_bytes())
    assert files.read()
    assert files.of_group("edge") != before
    pair.key.unlink()
    assert not files.read()
    assert len(files.of_group("edge")) == 1


@pytest.mark.parametrize(
    ("host", "covered"),
    [
        ("a.example.com", True),
        ("A.Example.COM", True),
        ("x.b.example.com", True),
        ("*.b.example.com", True),
        ("b.example.com", False),
        ("x.y.b.example.com", False),
        ("*", False),
    ],
)
def test_what_a_certificate_covers(host: str, *, covered: bool) -> None:
    certificate = Certificate("c", ("a.example.com", "*.b.example.com"), b"", b"")
    assert certificate.covers(host) is covered
