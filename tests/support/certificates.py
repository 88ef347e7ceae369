"""Certificates made with openssl: an authority, and who it vouches for."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Identity:
    """Files in PEM. ca: of the authority."""

    ca: Path
    certificate: Path
    key: Path


class Authority:
    """Signs certificates. Skips without openssl."""

    def __init__(self, directory: Path) -> None:
        """directory: made, where it keeps its files."""
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        directory.mkdir()
        self._directory = directory
        self.ca, self._key = directory / "ca.pem", directory / "ca.key"
        _openssl(
            "req", "-x509", *_CURVE, "-days", "30", "-keyout", self._key, "-out", self.ca, "-subj", "/CN=authority"
        )

    def identity(self, name: str, days: int = 30) -> Identity:
        """A certificate for a DNS name. days: that it is valid; -1: it has ended."""
        place = self._directory / f"{name}{days}"
        certificate, key, request, names = (place.with_suffix(end) for end in (".pem", ".key", ".csr", ".names"))
        names.write_text(f"subjectAltName=DNS:{name}\n")
        _openssl("req", *_CURVE, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        signing = ("-CA", self.ca, "-CAkey", self._key, "-CAcreateserial", "-extfile", names)
        _openssl("x509", "-req", "-in", request, "-days", str(days), *signing, "-out", certificate)
        return Identity(self.ca, certificate, key)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
