import ssl
from pathlib import Path

import pytest

from tests.certificates import self_signed


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a certificate with its key for 127.0.0.1, that no system trusts."""
    return self_signed(tmp_path_factory.mktemp("tls"), "stranger")


@pytest.fixture(scope="session")
def stranger_tls(certificate: Path) -> ssl.SSLContext:
    """Return the server's side of that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
