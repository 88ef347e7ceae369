"""An S3-compatible server on loopback (moto's), a process of its own."""

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Final

from tests.support.clusters import end_with_parent
from tests.support.command import surroundings

START_S: Final = 60.0
# Its form is looked at, its signature is not.
SIGNED: Final = "AWS4-HMAC-SHA256 Credential=tester/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


class ObjectStore:
    """The server, empty at first. A context manager, which ends it."""

    def __init__(self, directory: Path) -> None:
        """directory: for what it writes."""
        self._directory = directory
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self._port = found.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"

    @property
    def environment(self) -> dict[str, str]:
        """By which clients find it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def __enter__(self) -> "ObjectStore":
        with (self._directory / "store.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._port)],
                env=surroundings(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=end_with_parent,  # noqa: PLW1509  # which takes no lock
            )
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1.0).close()
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            else:
                return self

    def __exit__(self, *_error: object) -> None:
        self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait()

    def hang(self) -> None:
        """Answer nobody any more."""
        self._process.send_signal(signal.SIGSTOP)

    def put(self, path: str, content: bytes = b"") -> None:
        """Make a bucket, or an object in one. path: `bucket` or `bucket/key`."""
        request = urllib.request.Request(f"{self.url}/{path}", data=content, method="PUT")  # noqa: S310  # http://
        request.add_header("Content-Type", "application/octet-stream")  # else it is taken for a form
        request.add_header("Authorization", SIGNED)
        urllib.request.urlopen(request, timeout=20).close()  # noqa: S310
