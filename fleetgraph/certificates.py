"""A development authority and what it signs: certificates for the broker and for its clients.

Files of a folder: `ca.pem`, `ca.key`, `server.pem`, `server.key`; a client's are named after it.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from core.broker_accounts import check_broker_username
from core.errors import InvalidInput

CA_FILE: Final = "ca.pem"
CERTIFICATE_FILE: Final = "server.pem"
KEY_FILE: Final = "server.key"

CA_DAYS: Final = 3650
DAYS: Final = 397
"""What clients accept at most of a server's certificate."""

DAYS_MAX: Final = 3650
NAME_BYTES_MAX: Final = 64
"""The bound of X.509 on a common name."""

_CA_KEY_FILE: Final = "ca.key"
_CLOCKS_APART: Final = timedelta(hours=1)
_HOST = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)*")

_Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Written:
    """Where a certificate and its private key were written, and until when it holds."""

    certificate: Path
    key: Path
    until: datetime


def make_server(folder: Path, hosts: Iterable[str], now: datetime, days: int = DAYS) -> Written:
    """Write the authority, unless the folder has one, and a new certificate of the server.

    It holds for `localhost`, 127.0.0.1, ::1 and `hosts`: names or addresses. Raises InvalidInput
    for a host that is neither and for bad `days`, OSError where the folder cannot be written.
    """
    names = [
        _general_name(host) for host in dict.fromkeys(("localhost", "127.0.0.1", "::1", *hosts))
    ]
    _check_days(days)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / CA_FILE).exists() and not (folder / _CA_KEY_FILE).exists():
        _make_authority(folder, now)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    extensions: list[x509.ExtensionType] = [x509.SubjectAlternativeName(names), usage]
    return _issue(folder, "server", "fleetgraph broker", extensions, now, days)


def make_client(folder: Path, username: str, now: datetime, days: int = DAYS) -> Written:
    """Write a certificate whose common name is a user name of the broker, and its key.

    Raises InvalidInput for a name that is none, is too long, or without an authority in the folder.
    """
    check_broker_username(username)
    if len(username.encode()) > NAME_BYTES_MAX:
        raise InvalidInput("user name", f"a certificate names at most {NAME_BYTES_MAX} bytes")
    _check_days(days)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    stem = re.sub(r"[^A-Za-z0-9_-]", "_", username)
    if f"{stem}.key" in {_CA_KEY_FILE, KEY_FILE}:
        raise InvalidInput("user name", "would overwrite the authority's or the server's files")
    return _issue(folder, stem, username, [usage], now, days)


def _make_authority(folder: Path, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Fleetgraph development authority")
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, name, key, now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(folder / CA_FILE, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    _write(folder / _CA_KEY_FILE, _pem(key), 0o600)


def _issue(
    folder: Path,
    stem: str,
    common_name: str,
    extensions: Sequence[x509.ExtensionType],
    now: datetime,
    days: int,
) -> Written:
    authority, authority_key = _authority(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(common_name), authority.subject, key, now, days)
    for extension in (
        x509.BasicConstraints(ca=False, path_length=None),
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
        *extensions,
    ):
        builder = builder.add_extension(extension, isinstance(extension, x509.BasicConstraints))
    certificate = builder.sign(authority_key, hashes.SHA256())
    written = Written(
        folder / f"{stem}.pem", folder / f"{stem}.key", certificate.not_valid_after_utc
    )
    _write(written.key, _pem(key), 0o600)
    _write(written.certificate, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return written


def _authority(folder: Path) -> tuple[x509.Certificate, _Key]:
    try:
        certificate = x509.load_pem_x509_certificate((folder / CA_FILE).read_bytes())
        key = serialization.load_pem_private_key((folder / _CA_KEY_FILE).read_bytes(), None)
    except FileNotFoundError as error:
        name = Path(error.filename).name
        raise InvalidInput("folder", f"{folder} has no {name}; `make` writes both") from None
    except (ValueError, TypeError):
        raise InvalidInput("folder", f"the authority in {folder} cannot be read") from None
    if not isinstance(key, _Key) or key.public_key() != certificate.public_key():
        raise InvalidInput("folder", f"{_CA_KEY_FILE} in {folder} is not the key of {CA_FILE}")
    return certificate, key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: _Key, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_APART)
        .not_valid_after(now + timedelta(days=days))
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    with suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    if len(host) > 253 or not _HOST.fullmatch(host.lower()):
        raise InvalidInput("--host", f"{host!r} is neither a name nor an address")
    return x509.DNSName(host.lower())


def _check_days(days: int) -> None:
    if not 1 <= days <= DAYS_MAX:
        raise InvalidInput("--days", f"must be between 1 and {DAYS_MAX}")


def _pem(key: _Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    descriptor, scratch = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
