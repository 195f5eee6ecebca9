"""TLS of a node: what it shows its clients and peers, and whom it believes when it calls a peer (design 2.4).

Off loopback nodes call each other over https. The operator's certificate authority is `peer-ca.pem` in the data
directory; where it lies, no other one is believed and TLS is 1.3. Who calls is known by its signature on every message.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from stsd.config import Config, ConfigError
from stsd.provision import CA_FILE


def serving(settings: Config) -> ssl.SSLContext | None:
    """For the listener; None for plain HTTP. Raises ConfigError."""
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _load(context, settings)
    return context


def calling(settings: Config) -> ssl.SSLContext | None:
    """For calls to peers; None to believe the operating system's authorities. Raises ConfigError."""
    file = settings.data_dir / CA_FILE
    if not file.exists():
        return None
    context = believing(file, str(file))
    if settings.tls_cert is not None:
        _load(context, settings)
    return context


def believing(file: Path, source: str) -> ssl.SSLContext:
    """A client that believes the authorities in a file alone. Raises ConfigError, which names `source`."""
    try:
        context = ssl.create_default_context(cafile=file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{source}: no certificates of authorities in {file}: {error.strerror or error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _load(context: ssl.SSLContext, settings: Config) -> None:
    assert settings.tls_cert is not None
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        files = f"{settings.tls_cert} and {settings.tls_key}"
        raise ConfigError(f"--tls-cert, --tls-key: no certificate and key in {files}: {error.strerror}") from error
