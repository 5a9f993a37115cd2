"""The keys that sign and verify access tokens: one secret, or a folder of key pairs.

Every key is bound to one algorithm, whatever a token's header says, so that a public key can never
stand in for a secret.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPublicKey,
    generate_private_key,
)
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm

Algorithm = Literal["HS256", "EdDSA", "RS256"]
PublicKey = Ed25519PublicKey | RSAPublicKey
PrivateKey = Ed25519PrivateKey | RSAPrivateKey

SECRET_BYTES_MIN = 32
RSA_BITS = 3072
RSA_BITS_MIN = 2048


class BadKeys(ValueError):
    """Keys that cannot sign; says which file and why."""


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """What signs now, and all that verifies, by key id; a secret has no id."""

    algorithm: Algorithm
    signing: str | PrivateKey = field(repr=False)
    signing_kid: str | None
    verifying: dict[str | None, str | PublicKey] = field(repr=False)

    @classmethod
    def of_secret(cls, secret: str) -> TokenKeys:
        """Return the keys that one secret makes."""
        if len(secret.encode()) < SECRET_BYTES_MIN:
            raise BadKeys(f"the token secret must have at least {SECRET_BYTES_MIN} bytes")
        return cls("HS256", secret, None, {None: secret})

    @classmethod
    def of_folder(cls, folder: Path, algorithm: Literal["EdDSA", "RS256"]) -> TokenKeys:
        """Read the folder's `<kid>.pem` files: all verify, the last private one by name signs.

        A file with only a public key makes a key known before, and after, the time it signs.
        """
        private: dict[str | None, PrivateKey] = {}
        verifying: dict[str | None, str | PublicKey] = {}
        try:
            paths = sorted(folder.glob("*.pem"))
            contents = {path: path.read_bytes() for path in paths}
        except OSError as error:
            raise BadKeys(f"{folder} cannot be read: {error.strerror}") from None
        for path, pem in contents.items():
            key = _read(path, pem, algorithm)
            if isinstance(key, Ed25519PrivateKey | RSAPrivateKey):
                private[path.stem] = key
                key = key.public_key()
            verifying[path.stem] = key
        if not private:
            raise BadKeys(f"{folder} has no private key: `fleetgraph token-key new` makes one")
        kid, signing = list(private.items())[-1]
        return cls(algorithm, signing, kid, verifying)

    def published(self) -> list[dict[str, Any]]:
        """Return the public keys as JSON Web Keys; a secret is never among them."""
        return [
            {**_jwk(key), "kid": kid, "use": "sig", "alg": self.algorithm}
            for kid, key in self.verifying.items()
            if not isinstance(key, str)
        ]


def new_key(algorithm: Literal["EdDSA", "RS256"]) -> bytes:
    """Return a new private key as PEM."""
    key: PrivateKey
    if algorithm == "EdDSA":
        key = Ed25519PrivateKey.generate()
    else:
        key = generate_private_key(public_exponent=65_537, key_size=RSA_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _read(path: Path, pem: bytes, algorithm: Algorithm) -> PrivateKey | PublicKey:
    try:
        if b"PRIVATE KEY" in pem:
            key: object = serialization.load_pem_private_key(pem, password=None)
        else:
            key = serialization.load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKeys(f"{path} is not a key in PEM without a password") from None
    if algorithm == "EdDSA" and isinstance(key, Ed25519PrivateKey | Ed25519PublicKey):
        return key
    if algorithm == "RS256" and isinstance(key, RSAPrivateKey | RSAPublicKey):
        if key.key_size < RSA_BITS_MIN:
            raise BadKeys(f"{path} has {key.key_size} bits; RS256 needs {RSA_BITS_MIN}")
        return key
    raise BadKeys(f"{path} is not a key for {algorithm}")


def _jwk(key: PublicKey) -> dict[str, Any]:
    if isinstance(key, RSAPublicKey):
        return dict(json.loads(RSAAlgorithm.to_jwk(key)))
    return dict(json.loads(OKPAlgorithm.to_jwk(key)))
