"""TLS towards a receiver: its certificate and name are checked, it gets ours where it asks (RFC 5425, section 5)."""

import ssl
from typing import Final

from sensor.errors import ConfigError, reason_of
from sensor.files.bounded import read_bounded
from sensor.settings.outputs import TlsEntry

LONGEST_BYTES: Final = 4 << 20  # of a file: twenty times a system's list of authorities


def refuse_unreadable(entry: TlsEntry) -> None:
    """Raise ConfigError for a file that no library can take: it would not say which it is, or wait for it."""
    for path in (entry.ca, entry.certificate, entry.key):
        try:
            if path is not None:
                read_bounded(path, LONGEST_BYTES)
        except OSError as error:
            raise ConfigError(f"{entry.name}: {path}: {reason_of(error)}, expected a file in PEM") from error


def tls_context(entry: TlsEntry) -> ssl.SSLContext:
    """TLS that checks the receiver's certificate and name. Raises ConfigError."""
    refuse_unreadable(entry)
    try:
        context = ssl.create_default_context(cafile=entry.ca)
    except ssl.SSLError as error:
        raise ConfigError(f"{entry.name}: {entry.ca}: found no certificate, expected some in PEM") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if entry.certificate is not None:
        _show(context, entry)
    return context


def _show(context: ssl.SSLContext, entry: TlsEntry) -> None:
    """Have a receiver that asks for it get our certificate. Raises ConfigError."""
    try:
        # A passphrase given, though none, so that nobody is asked for one: a service has no terminal.
        context.load_cert_chain(str(entry.certificate), entry.key, password="")
    except (OSError, ssl.SSLError) as error:  # the first: what is in the file is no key
        pair = f"{entry.certificate}, {entry.key}"
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"{entry.name}: {pair}: the key is another certificate's, expected its own") from error
        raise ConfigError(
            f"{entry.name}: {pair}: cannot be taken, expected a certificate and its key in PEM, without a passphrase"
        ) from error
