"""Runs every example of README.md, in order, in one shell, against one running system."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleetgraph.embedded.ports import find_free_port
from tests.tools import reachable_folder, require_program

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
START_SECONDS_MAX = 90
EXAMPLE_SECONDS_MAX = 60

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Example:
    heading: str
    language: str
    code: str


def examples() -> list[Example]:
    found, heading = [], ""
    for match in re.finditer(
        r"^## ([^\n]+)$|^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL
    ):
        if match[1]:
            heading = match[1]
        elif match[2] in {"sh", "graphql", "python"}:
            found.append(Example(heading, match[2], match[3]))
    return found


@dataclass(frozen=True)
class System:
    url: str
    password: str


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """`fleetgraph up --demo 2`, from its banner to its end."""
    with reachable_folder() as folder:
        yield from _running(folder)


def _running(folder: Path) -> Iterator[System]:
    http, mqtt = find_free_port("127.0.0.1", 23002), find_free_port("127.0.0.1", 22883)
    command = [sys.executable, "-m", "fleetgraph", "up", "--demo", "2"]
    command += ["--data-dir", str(folder / "data"), "--port", str(http), "--mqtt-port", str(mqtt)]
    with (folder / "out").open("wb") as out, (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=out, stderr=log, cwd=ROOT)
    try:
        password = _password(process, folder)
        yield System(f"http://127.0.0.1:{http}", password)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
    assert process.returncode == 0, (folder / "log").read_text()[-2000:]


def _password(process: subprocess.Popen[bytes], folder: Path) -> str:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"password (\S+)", (folder / "out").read_text(encoding="utf-8"))
        if found:
            return found[1]
        time.sleep(0.1)
    pytest.fail(f"the system did not start:\n{(folder / 'log').read_text()[-3000:]}")


class Shell:
    """One bash, so that variables carry over from example to example."""

    def __init__(self, folder: Path, system: System) -> None:
        (folder / ".venv").symlink_to(sys.prefix)
        self._system = system
        self._folder = folder
        self._count = 0
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"},
        )

    def run(self, example: Example) -> str:
        """Return what the example prints; fails when it fails."""
        code = self._substituted(example.code)
        self._count += 1
        at = self._folder / f"example-{self._count}"
        if example.language == "python":
            at.with_suffix(".py").write_text(code)
            code = f".venv/bin/python {at.name}.py"
        elif example.language == "graphql":
            at.with_suffix(".json").write_text(json.dumps({"query": code}))
            code = (
                'curl -sS $API/graphql -H "Authorization: Bearer $TOKEN"'
                f" -H 'Content-Type: application/json' -d @{at.name}.json"
            )
        # `eval` keeps the variables; -e inside would end the shell itself.
        script = f"eval {shlex.quote(code)} > {at.name}.out 2> {at.name}.err; "
        script += f"echo $? > {at.name}.new; mv {at.name}.new {at.name}.rc\n"
        assert self._process.stdin
        self._process.stdin.write(script.encode())
        self._process.stdin.flush()
        status = at.with_suffix(".rc")
        deadline = time.monotonic() + EXAMPLE_SECONDS_MAX
        while not status.exists():
            assert time.monotonic() < deadline, f"still running:\n{code}"
            assert self._process.poll() is None
            time.sleep(0.02)
        printed = at.with_suffix(".out").read_text(encoding="utf-8")
        assert status.read_text().strip() == "0", f"{code}\n{at.with_suffix('.err').read_text()}"
        return printed

    def _substituted(self, code: str) -> str:
        address = self._system.url.removeprefix("http://")
        code = code.replace("127.0.0.1:3002", address)
        return re.sub(
            r"^PASSWORD=.*$", f"PASSWORD={self._system.password}", code, flags=re.MULTILINE
        )

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(10)


def test_every_example_does_what_it_says(system: System, tmp_path: Path) -> None:
    for program in ("bash", "curl", "openssl"):
        require_program(program)
    shell = Shell(tmp_path, system)
    printed: dict[str, str] = {}
    try:
        _until_live(shell)
        for example in examples():
            output = shell.run(example)
            assert '"errors"' not in output, f"{example.code}\n{output}"
            assert '"error"' not in output, f"{example.code}\n{output}"
            printed[example.heading] = printed.get(example.heading, "") + output
    finally:
        shell.close()

    assert '"username":"admin"' in printed["First query"]
    assert '"totalCount":2' in printed["First query"]
    assert re.search(r'"latest":\[\{"time":"2\d+-.*"value":\d', printed["First query"])
    assert re.search(r'"values":\[[\d.]+', printed["First query"])
    assert printed["First subscription"].count("cursor") == 5
    assert re.search(r'"metric_name":"\w+","value":', printed["REST"])
    assert '"interval":"1m"' in printed["REST"]
    assert "Key exchange successful" in printed["First agent"]
    assert re.search(r'\{"[0-9a-f-]{36}":\{"apps":', printed["First agent"].replace(" ", ""))


def _until_live(shell: Shell) -> None:
    """Wait until the plant has sent a temperature: a person takes longer to read that far."""
    sign_in = next(example for example in examples() if "TOKEN=" in example.code)
    shell.run(sign_in)
    query = Example("", "graphql", "{ agents { nodes { latest { metric value } } } }")
    deadline = time.monotonic() + 30
    while '"metric":"temperature"' not in shell.run(query):
        assert time.monotonic() < deadline, "no reading within 30 s"
        time.sleep(0.2)


def test_the_banner_is_the_real_one() -> None:
    from fleetgraph.banner import Banner

    shown = re.search(r"^```text\n(─.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert shown
    lines = dict(re.findall(r"^  (\S[\w ]*?)  +(\S.*)$", shown[1], re.MULTILINE))
    banner = Banner(
        url="http://127.0.0.1:3002",
        login="admin",
        password=lines["Login"].rpartition(" ")[2],
        provisioning_key=lines["Provisioning key"],
        data_dir=Path(lines["Data folder"]),
        database=lines["Database"],
        broker=lines["Broker"],
        demo_agents=20,
    )
    assert str(banner) == shown[1].rstrip("\n")


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) > 10
    assert not [link for link in links if "://" not in link and not (ROOT / link).exists()]
