"""A database URL says where, as whom, and how securely; nothing in it is ignored."""

from __future__ import annotations

import pytest

from models.database import DatabaseUrl


def test_takes_a_url_apart() -> None:
    url = DatabaseUrl.parse("postgresql://me:p%40ss@db.example:5433/plant?sslmode=verify-full")
    assert url.arguments() == {
        "host": "db.example",
        "port": 5433,
        "user": "me",
        "password": "p@ss",
        "database": "plant",
        "ssl": "verify-full",
    }


def test_takes_a_socket_folder() -> None:
    url = DatabaseUrl.parse("postgresql://me:x@/plant?host=/run/pg&port=1")
    assert (url.host, url.port, url.sslmode) == ("/run/pg", 1, None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mysql://x/y", "postgresql://"),
        ("postgresql://host", "names a database"),
        ("postgresql://host/db?sslrootcert=x", "not sslrootcert"),
        ("postgresql://host/db?sslmode=sometimes", "sslmode is one of"),
    ],
)
def test_refuses_what_it_would_have_to_ignore(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        DatabaseUrl.parse(text)
