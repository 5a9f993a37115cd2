"""The few MQTT 3.1.1 packets a load generator needs, by hand."""

from __future__ import annotations

PUBACK = 0x40
DISCONNECT = b"\xe0\x00"

_CLEAN_SESSION = 0x02
_PASSWORD = 0x40
_USER = 0x80


def connect(
    client_id: str, username: str | None, password: str | None, *, keep_alive: int
) -> bytes:
    """Return a CONNECT with a clean session and, if named, a user; keep-alive in seconds."""
    flags, payload = _CLEAN_SESSION, _text(client_id)
    if username is not None:
        flags |= _USER
        payload += _text(username)
        if password is not None:
            flags |= _PASSWORD
            payload += _text(password)
    body = _text("MQTT") + bytes((4, flags)) + keep_alive.to_bytes(2, "big") + payload
    return b"\x10" + _length(len(body)) + body


def publish_head(topic: str, payload_size: int, *, dup: bool = False) -> bytes:
    """Return a QoS 1 PUBLISH up to the packet id, which and the payload then follow."""
    name = _text(topic)
    return bytes((0x3A if dup else 0x32,)) + _length(len(name) + 2 + payload_size) + name


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


def _length(size: int) -> bytes:
    """Return a remaining length: seven bits a byte, the lowest first."""
    out = bytearray()
    while size > 127:
        out.append(size & 127 | 128)
        size >>= 7
    out.append(size)
    return bytes(out)
