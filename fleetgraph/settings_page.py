"""docs/settings.md, printed from the settings themselves."""

from __future__ import annotations

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from fleetgraph.settings import FILE_VARIABLE, Settings, variables


def settings_page() -> str:
    """Return every setting with its variable, default and meaning, as Markdown."""
    lines = [
        "# Settings",
        "",
        "Written by `make golden`; do not edit. Every setting is an environment variable, or a key",
        f"in `fleetgraph.toml` (another file: `{FILE_VARIABLE}`). The environment wins. What is",
        "absent means the embedded part. Settings that cannot be used stop the start, all listed.",
    ]
    section_before = ""
    for name, (section, key, field) in variables().items():
        if section != section_before:
            model = Settings.model_fields[section].annotation
            lines += ["", f"## [{section}]", "", f"{(model.__doc__ or '').strip()}", ""]
            lines += ["| Variable | Key | Default | Meaning |", "| --- | --- | --- | --- |"]
            section_before = section
        default = field.default
        shown = "" if default in (None, PydanticUndefined, "") else f"`{default}`"
        assert not isinstance(default, SecretStr)
        lines.append(f"| `{name}` | `{key}` | {shown} | {field.description} |")
    return "\n".join(lines) + "\n"
