"""Certificates for tests: a test authority, a server on 127.0.0.1 and localhost, and an authority nobody asked."""

import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.support.peers import find_peer


class Files(NamedTuple):
    """Paths. other_ca: of an authority that has signed nothing here."""

    ca: Path
    cert: Path
    key: Path
    other_ca: Path


def why_not() -> str:
    """Say why they cannot be made; empty when they can."""
    return "" if find_peer("openssl") else "openssl is not installed"


def make(directory: Path) -> Files:
    """Make them, once for each directory."""
    files = Files(*(directory / name for name in ("ca.pem", "server.pem", "server.key", "other.pem")))
    if not files.cert.exists():
        _authority(files.ca, directory / "ca.key")
        _authority(files.other_ca, directory / "other.key")
        request, names = directory / "server.csr", directory / "names"
        names.write_text("subjectAltName = DNS:localhost, IP:127.0.0.1\n")
        _openssl("req", "-new", *_key(files.key), "-subj", "/CN=localhost", "-out", str(request))
        signed = ["-CA", str(files.ca), "-CAkey", str(directory / "ca.key"), "-CAcreateserial", "-days", "30"]
        _openssl("x509", "-req", "-in", str(request), *signed, "-extfile", str(names), "-out", str(files.cert))
    return files


def _authority(path: Path, key: Path) -> None:
    _openssl("req", "-x509", *_key(key), "-subj", f"/CN={path.stem}", "-days", "30", "-out", str(path))


def _key(path: Path) -> list[str]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(path)]


def _openssl(*arguments: str) -> None:
    done = subprocess.run([find_peer("openssl"), *arguments], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
