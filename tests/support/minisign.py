"""Keys and signatures as the program minisign makes them, for tests that need many or wrong ones."""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


@dataclass(frozen=True)
class Signer:
    """Who signs."""

    secret: Ed25519PrivateKey
    number: bytes  # 8 bytes

    @classmethod
    def of(cls, seed: int) -> "Signer":
        """One for each seed."""
        digest = hashlib.sha512(str(seed).encode()).digest()
        return cls(Ed25519PrivateKey.from_private_bytes(digest[:32]), digest[32:40])

    @property
    def public(self) -> str:
        """The public key as minisign prints it."""
        return base64.b64encode(b"Ed" + self.number + self.raw).decode()

    @property
    def raw(self) -> bytes:
        """The 32 bytes of the public key."""
        return self.secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def signature(self, content: bytes, comment: str = "timestamp:1", algorithm: bytes = b"ED") -> bytes:
        """The signature file of a content. algorithm: ED over its hash, Ed over itself."""
        signed = self.secret.sign(hashlib.blake2b(content).digest() if algorithm == b"ED" else content)
        whole = self.secret.sign(signed + comment.encode())
        lines = (
            "untrusted comment: signature from minisign secret key",
            base64.b64encode(algorithm + self.number + signed).decode(),
            f"trusted comment: {comment}",
            base64.b64encode(whole).decode(),
        )
        return "".join(f"{line}\n" for line in lines).encode()

    def sign(self, bundle: Path, name: str = "manifest.json") -> None:
        """Put a signature beside a bundle's manifest, or that of its baselines."""
        (bundle / f"{name}.minisig").write_bytes(self.signature((bundle / name).read_bytes()))
