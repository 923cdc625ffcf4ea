"""Checks whose outcome depends on the clock, the user or the kernel, and the certificates' reader by itself."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.config.check import check_directory
from posthouse.config.checks import tls
from posthouse.config.checks.certificates import read_blocks, read_certificate
from posthouse.config.checks.context import Context
from posthouse.config.load import load
from tests.support.findings import unpack, whole

HERE = Path(__file__).parent
ISSUED, EXPIRES = 1577836800, 4733510400  # of the certificate in chain-order.case
DAY = 86400


def found_at(directory: Path, now: float) -> list[str]:
    """Give the identifiers of what is found about TLS at a time."""
    context = Context(load(str(directory)), whole(), as_root=True, now=now)
    return [finding.id for finding in tls.check_tls(context)]


@pytest.mark.parametrize(
    ("now", "found"),
    [
        (ISSUED - 1, ["certificate-expired"]),
        (ISSUED + 1, []),
        (EXPIRES - 7 * DAY - 1, []),
        (EXPIRES - 7 * DAY + 1, ["certificate-expires-soon"]),
        (EXPIRES - 1, ["certificate-expires-soon"]),
        (EXPIRES + 1, ["certificate-expired"]),
    ],
)
def test_a_certificate_is_told_before_it_expires(tmp_path: Path, now: float, found: list[str]) -> None:
    """Seven days before, and when it has; a certificate that holds says nothing."""
    unpack(HERE / "sound" / "tls.case", tmp_path)
    assert sorted(set(found_at(tmp_path, now))) == found


def test_a_fifo_in_the_place_of_a_certificate_is_told(tmp_path: Path) -> None:
    """It is not waited for until somebody writes into it."""
    unpack(HERE / "wrong" / "tls-file-missing.case", tmp_path)
    os.mkfifo(tmp_path / "cert.pem")
    findings = [finding for finding in check_directory(str(tmp_path), whole()) if finding.id == "tls-file-missing"]
    assert [finding.what for finding in findings] == [
        f"smtpd_tls_cert_file: cannot read {tmp_path}/cert.pem: it is no regular file"
    ]


def test_a_low_port_without_root_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service could not listen; with root it can."""
    unpack(HERE / "wrong" / "mynetworks-class.case", tmp_path)
    monkeypatch.setattr("posthouse.config.checks.transports._first_free_port", lambda: 1024)
    shown = [str(finding) for finding in check_directory(str(tmp_path), whole()) if finding.id == "privileged-port"]
    assert len(shown) == 1
    assert "master.cf:1: note: smtp/inet: port 25 is for root" in shown[0]
    with_root = check_directory(str(tmp_path), whole(), as_root=True)
    assert "privileged-port" not in {finding.id for finding in with_root}


def certificate() -> bytes:
    """Give a certificate that can be read."""
    text = (HERE / "sound" / "tls.case").read_bytes()
    return next(block.data for block in read_blocks(text) if block.is_certificate)


def test_a_certificate_is_read() -> None:
    """Names and times are those that it was made with."""
    found = read_certificate(certificate())
    assert (found.not_before, found.not_after) == (ISSUED, EXPIRES)
    assert b"Test issuer" in found.issuer
    assert b"mail.example.com" in found.subject


@given(st.binary(max_size=300), st.integers(0, 290), st.integers(0, 255))
def test_no_octets_raise_anything_but_value_error(noise: bytes, at: int, value: int) -> None:
    """Neither nonsense nor a certificate with a wrong octet."""
    damaged = bytearray(certificate())
    damaged[at % len(damaged)] = value
    for data in (noise, bytes(damaged), bytes(damaged[:at])):
        try:
            read_certificate(data)
        except ValueError:
            continue


@given(st.binary(max_size=200))
def test_no_octets_make_the_pem_reader_raise(noise: bytes) -> None:
    """What is no base64 has no data."""
    text = b"-----BEGIN CERTIFICATE-----\n" + noise + b"\n-----END CERTIFICATE-----\n"
    for block in read_blocks(noise + text):
        assert block.text.startswith(b"-----BEGIN")
