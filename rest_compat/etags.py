"""ETags: made, compared, answered with 304."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

from starlette.responses import Response

_ETAGS: Final = re.compile(r'(?:W/)?"([^"]*)"|([^\s,"]+)')
_ETAG_TEXT: Final = re.compile(r"[\x21\x23-\x7e]+")


def etag_of_bytes(body: bytes) -> str:
    """Return the bare ETag of a body: equal bytes, equal tag."""
    return blake2b(body, digest_size=16).hexdigest()


def etag_text(value: object) -> str | None:
    """Return a value as a bare ETag; None for one that cannot be written as one."""
    text = str(value)
    return text if value is not None and _ETAG_TEXT.fullmatch(text) else None


def etags_in(header: str) -> list[str]:
    """Return the bare ETags that a header names, in every form that clients send."""
    return [quoted or bare for quoted, bare in _ETAGS.findall(header)]


def etag_matches(if_none_match: str | None, etag: str) -> bool:
    """Whether If-None-Match names `etag`: bare, quoted, weak, in a list, or by `*`."""
    if not if_none_match:
        return False
    if if_none_match.strip() in {"*", etag}:
        return True
    return etag in etags_in(if_none_match)


def not_modified(etag: str | None, body_bytes: int | None, headers: Mapping[str, str]) -> Response:
    """Return an empty 304; `body_bytes` is the size of the body not sent, when known."""
    extra = {} if etag is None else {"ETag": f'"{etag}"'}
    if body_bytes is not None:
        extra["X-Content-Length"] = str(body_bytes)
    return Response(status_code=304, headers={**headers, **extra})
