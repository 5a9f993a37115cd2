"""What a person reads in the banner."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Facts:
    """The banner's lines, taken apart."""

    url: str
    login: str
    password: str
    provisioning_key: str | None
    broker: str
    mqtt_port: int
    database: str
    data_dir: Path
    lines: dict[str, str]

    @classmethod
    def of(cls, banner: str) -> Facts:
        lines = dict(re.findall(r"^  ([A-Z][A-Za-z ]+?)  +(.+)$", banner, re.MULTILINE))
        login, _, password = lines["Login"].partition("   password ")
        port = re.search(r":(\d+)", lines["Broker"])
        assert port
        return cls(
            url=lines["API"].split()[0],
            login=login,
            password=password,
            provisioning_key=lines.get("Provisioning key"),
            broker=lines["Broker"],
            mqtt_port=int(port[1]),
            database=lines["Database"],
            data_dir=Path(lines["Data folder"]),
            lines=lines,
        )
