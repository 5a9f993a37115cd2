"""What an agent says of itself when it registers, and the bounds on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from core.errors import InvalidInput
from core.public_keys import normal_pem, read_public_key

NAME_CHARS_MAX = 255
TYPE_CHARS_MAX = 100
DEVICE_KEY_CHARS_MIN = 32
DEVICE_KEY_CHARS_MAX = 256


@dataclass(frozen=True, slots=True)
class Registration:
    """An agent's identity and the credential it made for itself."""

    uuid: UUID
    device_name: str
    device_type: str
    device_api_key: str
    device_public_key: str
    mac_address: str | None = None
    os_version: str | None = None
    agent_version: str | None = None

    def checked(self) -> Registration:
        """Return it with the public key in its normal form and facts cut to their columns.

        Raises InvalidInput with the name that the field has on the wire. The facts are not worth
        refusing an agent for, so they are shortened instead.
        """
        _bounded(self.device_name, "deviceName", 1, NAME_CHARS_MAX)
        _bounded(self.device_type, "deviceType", 1, TYPE_CHARS_MAX)
        _bounded(self.device_api_key, "deviceApiKey", DEVICE_KEY_CHARS_MIN, DEVICE_KEY_CHARS_MAX)
        if not self.device_public_key:
            raise InvalidInput("devicePublicKey", "is required")
        key = read_public_key(self.device_public_key, "devicePublicKey")
        return replace(
            self,
            device_public_key=normal_pem(key),
            mac_address=_shortened(self.mac_address, 64),
            os_version=_shortened(self.os_version, 255),
            agent_version=_shortened(self.agent_version, 100),
        )


def _bounded(text: str, field: str, least: int, most: int) -> None:
    if not text.strip():
        raise InvalidInput(field, "is required")
    if not least <= len(text) <= most:
        raise InvalidInput(field, f"must have {least} to {most} characters", limit=most)
    if _storable(text) != text:
        raise InvalidInput(field, "has characters that cannot be stored")


def _shortened(text: str | None, most: int) -> str | None:
    return _storable(text)[:most] if text else None


def _storable(text: str) -> str:
    """Leave out what PostgreSQL refuses in text: NUL characters and halves of surrogate pairs."""
    return text.replace("\x00", "").encode(errors="ignore").decode()
