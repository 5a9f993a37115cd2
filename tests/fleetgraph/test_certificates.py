"""The development authority: what it writes, what it keeps, and what it refuses."""

from __future__ import annotations

import ssl
import stat
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from core.clock import SystemClock
from core.errors import InvalidInput
from fleetgraph.certificates import make_client, make_server
from fleetgraph.cli import main

NOW = SystemClock().now()
AGENT = "AAAAAAAAAAAAAAAAAAAAAA/a/1111111111111111111111"


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_the_server_is_named_as_it_is_reached(tmp_path: Path) -> None:
    written = make_server(tmp_path, ["Broker.example.com", "198.51.100.7", "[fd00::1]"], NOW)
    names = (
        certificate(written.certificate)
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
    )
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "broker.example.com"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ip_address(text) for text in ("127.0.0.1", "::1", "198.51.100.7", "fd00::1")
    ]


def test_private_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    written = [make_server(tmp_path, [], NOW), make_client(tmp_path, AGENT, NOW)]
    for path in (tmp_path / "ca.key", *(each.key for each in written)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert b"PRIVATE KEY" in path.read_bytes()


def test_a_second_run_keeps_the_authority_and_renews_the_server(tmp_path: Path) -> None:
    first = make_server(tmp_path, [], NOW, days=1)
    kept = [(tmp_path / name).read_bytes() for name in ("ca.pem", "ca.key")]
    before = certificate(first.certificate).serial_number
    again = make_server(tmp_path, [], NOW, days=30)
    assert [(tmp_path / name).read_bytes() for name in ("ca.pem", "ca.key")] == kept
    assert certificate(again.certificate).serial_number != before
    assert again.until - first.until == timedelta(days=29)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(again.certificate, again.key)  # they belong together


def test_a_client_is_named_by_its_common_name(tmp_path: Path) -> None:
    make_server(tmp_path, [], NOW)
    made = certificate(make_client(tmp_path, AGENT, NOW).certificate)
    (name,) = made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == AGENT
    made.verify_directly_issued_by(certificate(tmp_path / "ca.pem"))


@pytest.mark.parametrize(
    ("username", "told"),
    [
        (f"{AGENT}{'1' * 18}", "at most 64 bytes"),
        ("with space", "white space"),
        ("server", "overwrite"),
        ("ca", "overwrite"),
    ],
    ids=["long", "space", "server", "ca"],
)
def test_refuses_a_name_that_cannot_be_a_client(tmp_path: Path, username: str, told: str) -> None:
    make_server(tmp_path, [], NOW)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InvalidInput, match=told):
        make_client(tmp_path, username, NOW)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("host", ["", "a b", "exa mple.com", "-x", "x" * 254, "http://x"])
def test_refuses_a_host_that_is_neither_name_nor_address(tmp_path: Path, host: str) -> None:
    with pytest.raises(InvalidInput, match="neither a name nor an address"):
        make_server(tmp_path / "new", [host], NOW)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("days", [0, 3651])
def test_refuses_days_out_of_bounds(tmp_path: Path, days: int) -> None:
    with pytest.raises(InvalidInput, match="between 1 and 3650"):
        make_server(tmp_path, [], NOW, days)


def test_says_that_the_authority_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"has no ca\.pem"):
        make_client(tmp_path, AGENT, NOW)
    make_server(tmp_path, [], NOW)
    (tmp_path / "ca.key").unlink()
    with pytest.raises(InvalidInput, match=r"has no ca\.key"):
        make_server(tmp_path, [], NOW)


def test_says_that_the_authority_is_a_wrong_one(tmp_path: Path) -> None:
    make_server(tmp_path / "one", [], NOW)
    make_server(tmp_path / "two", [], NOW)
    (tmp_path / "two" / "ca.key").replace(tmp_path / "one" / "ca.key")
    with pytest.raises(InvalidInput, match="is not the key"):
        make_client(tmp_path / "one", AGENT, NOW)
    (tmp_path / "two" / "ca.pem").write_text("nothing")
    (tmp_path / "two" / "ca.key").write_text("nothing")
    with pytest.raises(InvalidInput, match="cannot be read"):
        make_client(tmp_path / "two", AGENT, NOW)


def test_the_commands_say_where_the_files_are_and_not_what_is_in_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["certificates", "make", str(tmp_path), "--host", "broker.local", "--days", "7"])
    main(["certificates", "agent", str(tmp_path), AGENT])
    told = capsys.readouterr().out
    for name in ("ca.pem", "server.pem", "server.key", f"{AGENT.replace('/', '_')}.pem"):
        assert str(tmp_path / name) in told
    assert f"Until        {NOW + timedelta(days=7):%Y-%m-%d}" in told
    assert "PRIVATE" not in told


def test_the_commands_fail_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for arguments in (["make", str(tmp_path / "file")], ["agent", str(tmp_path), AGENT]):
        with pytest.raises(SystemExit) as ended:
            main(["certificates", *arguments])
        assert ended.value.code == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert "File exists" in told[0]
    assert "has no ca.pem" in told[1]
