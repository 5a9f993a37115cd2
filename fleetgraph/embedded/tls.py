"""The TLS listener of a broker of ours: where its certificate comes from, and how it is renewed."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import AppError

CERTIFICATE: Final = "server.pem"
KEY: Final = "server.key"
CLIENTS: Final = "clients.pem"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TlsListener:
    """A second listener, with the certificate in `folder`.

    With `client_ca_file` only clients with a certificate of that authority are admitted to it.
    """

    host: str
    port: int
    folder: Path
    client_ca_file: Path | None = None

    def ca_cert(self) -> str | None:
        """Return the PEM of the private authority behind the certificate, if there is one."""
        path = self.folder / "ca.pem"
        return path.read_text(encoding="ascii") if path.exists() else None

    def check(self) -> None:
        """Raise AppError unless there are a certificate and its key, and the clients' authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.folder / CERTIFICATE, self.folder / KEY)
        except OSError as error:
            raise AppError(
                f"The certificate in {self.folder} cannot be used ({CERTIFICATE} and {KEY}): {error}"
            ) from None
        if self.client_ca_file is None:
            return
        try:
            context.load_verify_locations(self.client_ca_file)
        except OSError as error:
            raise AppError(
                f"The clients' authority {self.client_ca_file} cannot be used: {error}"
            ) from None

    def files(self) -> dict[str, str]:
        """Return what belongs into the broker's folder by name; nothing while it is no good.

        A renewal writes two files: until both fit, the broker keeps what it has.
        """
        try:
            self.check()
            found = {name: (self.folder / name).read_text("ascii") for name in (CERTIFICATE, KEY)}
            if self.client_ca_file:
                found[CLIENTS] = self.client_ca_file.read_text("ascii")
        except (AppError, OSError) as error:
            _log.warning("the broker keeps its certificate: %s", error)
            return {}
        return found


class TlsServer:
    """The same listener inside the process that is the broker; `folder` is the broker's own."""

    def __init__(self, host: str, port: int, folder: Path, *, requires_clients: bool) -> None:
        self.host = host
        self.port = port
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._certificate = folder / CERTIFICATE
        self._key = folder / KEY
        if requires_clients:
            self.context.load_verify_locations(folder / CLIENTS)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self._seen: list[int] = []
        self.refresh()

    def refresh(self) -> None:
        """Use the certificate for new connections, if it was renewed."""
        seen = [path.stat().st_mtime_ns for path in (self._certificate, self._key)]
        if seen != self._seen:
            self.context.load_cert_chain(self._certificate, self._key)
            self._seen = seen
