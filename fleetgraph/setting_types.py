"""Types of settings that pydantic does not have."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
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
    return tuple(part.strip() for part in text.split(",")) if isinstance(text, str) else text


Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_parts)]
"""Texts with commas between in a variable, a list in the file."""
