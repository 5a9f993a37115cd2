"""Types of settings that pydantic does not have."""

from __future__ import annotations

import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import NoDecode

Port = Annotated[int, Field(ge=1, le=65_535)]


def at_least(characters: int) -> AfterValidator:
    """Require a secret of so many characters."""

    def check(secret: SecretStr) -> SecretStr:
        if len(secret.get_secret_value()) < characters:
            raise ValueError(f"must have at least {characters} characters")
        return secret

    return AfterValidator(check)


def _parts(text: object) -> object:
    if not isinstance(text, str):
        return text
    return tuple(part.strip() for part in text.split(",") if part.strip())


Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_parts)]
"""Texts with commas between in a variable, a list in the file."""


def _origin(text: str) -> str:
    if text == "*":
        return text
    try:
        url = urlsplit(text)
        is_origin = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        is_origin = False
    if (
        not is_origin
        or "*" in text
        or text.lower() != f"{url.scheme}://{url.netloc}".lower()
        or url.username
    ):
        raise ValueError(f"{text!r} is not an origin: https://host or https://host:port, or *")
    return text.lower()


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither an address nor a network such as 10.0.0.0/8"
        ) from None
    return text


Origins = Annotated[Texts, AfterValidator(lambda texts: tuple(map(_origin, texts)))]
"""Origins as browsers send them, or `*`."""

Networks = Annotated[Texts, AfterValidator(lambda texts: tuple(map(_network, texts)))]
"""IP addresses and networks."""


class Section(BaseModel):
    """Base of the groups of settings; a key that does not exist is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
