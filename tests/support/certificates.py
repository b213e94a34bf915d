"""Certificates made with openssl, as the guides make them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.support.needs import missing

NAME = "models.example.com"


class Pair(NamedTuple):
    """The paths of a certificate and of its key."""

    certificate: Path
    key: Path


def self_signed(directory: Path, name: str = NAME) -> Pair:
    """A certificate of its own authority, for this name alone."""
    pair = Pair(directory / "certificate.pem", directory / "key.pem")
    subject = ("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}")
    request = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject)
    openssl(*request, "-keyout", str(pair.key), "-out", str(pair.certificate))
    return pair


def signed(directory: Path, name: str = "") -> tuple[Pair, Path]:
    """A certificate that an authority signed, for this name or its common name alone; and that of the authority."""
    authority = self_signed(directory)
    pair, request = Pair(directory / "own.pem", directory / "own.key"), str(directory / "own.csr")
    subject = ("-subj", "/CN=own.example.com")
    openssl("req", "-newkey", "rsa:2048", "-nodes", *subject, "-keyout", str(pair.key), "-out", request)
    ca = ("-CA", str(authority.certificate), "-CAkey", str(authority.key), "-CAcreateserial")
    extensions = directory / "extensions"
    extensions.write_text(f"subjectAltName=DNS:{name}\n" if name else "")
    made = ("-days", "1", "-extfile", str(extensions), "-out", str(pair.certificate))
    openssl("x509", "-req", "-in", request, *ca, *made)
    return pair, authority.certificate


def openssl(*words: str) -> None:
    """Run it; skips the test where it is not installed."""
    if shutil.which("openssl") is None:
        missing("openssl is not installed")
    subprocess.run(["openssl", *words], check=True, capture_output=True)
