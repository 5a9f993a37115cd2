"""Public keys of agents: read from PEM, and asked whether a signature is theirs."""

from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from core.errors import InvalidInput

PEM_CHARS_MAX = 2_000
SIGNATURE_CHARS_MAX = 500

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey


def read_public_key(pem: str, field: str) -> PublicKey:
    """Return the Ed25519 or ECDSA P-256 key in an SPKI PEM; raises InvalidInput for others."""
    if "-----BEGIN PUBLIC KEY-----" not in pem or len(pem) > PEM_CHARS_MAX:
        raise InvalidInput(field, "is not a public key in PEM form (SPKI)")
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidInput(field, "is not a public key in PEM form (SPKI)") from None
    if isinstance(key, Ed25519PublicKey):
        return key
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key
    raise InvalidInput(field, "must be an Ed25519 or an ECDSA P-256 key")


def normal_pem(key: PublicKey) -> str:
    """Return the key's one spelling, so that line ends and blanks make no difference."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def read_signature(text: str, field: str) -> bytes:
    """Return the bytes of a standard base64 signature; raises InvalidInput for anything else."""
    try:
        if not text or len(text) > SIGNATURE_CHARS_MAX:
            raise ValueError
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        raise InvalidInput(field, "is not a signature in base64") from None


def is_signed_by(key: PublicKey, signature: bytes, text: str) -> bool:
    """Whether `signature` over the UTF-8 text is of this key (P-256: DER, SHA-256)."""
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, text.encode())
        else:
            key.verify(signature, text.encode(), ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
