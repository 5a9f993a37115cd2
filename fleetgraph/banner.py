"""What a person sees when the system is up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Banner:
    """The facts of a started system; None leaves a line out."""

    url: str
    login: str
    password: str | None
    provisioning_key: str | None
    data_dir: Path
    database: str
    broker: str
    demo_agents: int | None

    def __str__(self) -> str:
        password = self.password or "(the one you set)"
        lines = [
            ("Browser", f"{self.url}/graphql   GraphiQL; the REST API at {self.url}/docs"),
            ("API", f"{self.url}   GraphQL at /graphql, REST at /api/v1, /openapi.json"),
            ("Login", f"{self.login}   password {password}"),
        ]
        if self.provisioning_key:
            lines.append(("Provisioning key", self.provisioning_key))
        lines += [
            ("Broker", self.broker),
            ("Database", self.database),
            ("Data folder", str(self.data_dir)),
        ]
        if self.demo_agents:
            lines.append(("Simulated plant", f"{self.demo_agents} agents"))
        width = max(len(name) for name, _ in lines)
        body = "\n".join(f"  {name:<{width}}  {text}" for name, text in lines)
        rule = "─" * 78
        return f"{rule}\n  Fleetgraph is up. Ctrl-C ends it; the data stay.\n\n{body}\n{rule}"
