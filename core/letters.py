"""The letters that the system writes to people: subject, text and HTML from templates."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from core.context import Context
from core.mail import Mail


class Letter(Enum):
    """What is written; the name is that of the templates, the value the subject."""

    PASSWORD_RESET = "Choose a new password"  # noqa: S105  (a subject)
    PASSWORD_CHANGED = "Your password was changed"  # noqa: S105  (a subject)
    EMAIL_CHANGED = "Your e-mail address was changed"
    INVITATION = "You are invited"


_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("mail_templates")),
    autoescape=select_autoescape(("html",)),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write_letter(ctx: Context, letter: Letter, to: str, **values: object) -> Mail:
    """Return a new message; `values` are those that its templates name beside `url`."""
    name = letter.name.lower()
    subject = f"Fleetgraph: {letter.value}"
    text, html = (
        _TEMPLATES.get_template(f"{name}.{kind}").render(
            values, subject=subject, url=ctx.policy.public_url
        )
        for kind in ("txt", "html")
    )
    return Mail(ctx.ids.uuid(), to, subject, text, html)
