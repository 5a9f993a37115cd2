"""Access tokens hold exactly as issued; whatever else comes is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import string
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Unauthenticated
from core.token_keys import BadKeys, TokenKeys, new_key
from core.tokens import TOKEN_CHARS_MAX, Tokens
from tests.doubles import ManualClock

pytestmark = pytest.mark.slow

SECRET = "a secret of the tests, of 32 bytes or more"
ALGORITHMS = ("HS256", "EdDSA", "RS256")
PEMS: dict[str, bytes] = {name: new_key(name) for name in ("EdDSA", "RS256")}
CLOCK = ManualClock()


def keys_of(algorithm: str, folder: Path, **pems: bytes) -> TokenKeys:
    if algorithm == "HS256":
        return TokenKeys.of_secret(SECRET)
    for kid, pem in (pems or {"k1": PEMS[algorithm]}).items():
        (folder / f"{kid}.pem").write_bytes(pem)
    return TokenKeys.of_folder(folder, algorithm)  # type: ignore[arg-type]


def public_pem(pem: bytes) -> bytes:
    key = serialization.load_pem_private_key(pem, None)
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def issued(tokens: Tokens) -> str:
    return tokens.issue(uuid4(), 7, uuid4())[0]


def refused(tokens: Tokens, token: str) -> bool:
    try:
        tokens.verify(token)
    except Unauthenticated:
        return True
    return False


def claims(**changes: Any) -> dict[str, Any]:
    now = int(CLOCK.now().timestamp())
    sound = {
        "sub": str(uuid4()),
        "sid": str(uuid4()),
        "tenant": 7,
        "type": "access",
        "iss": "fleetgraph",
        "aud": "fleetgraph",
        "iat": now,
        "exp": now + 900,
        "jti": "j",
    }
    return {name: value for name, value in (sound | changes).items() if value is not None}


def segment(data: Any) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def hmac_signed(header: dict[str, Any], payload: dict[str, Any], secret: bytes) -> str:
    signed = f"{segment(header)}.{segment(payload)}"
    digest = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{segment(digest)}"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_says_what_was_issued(tmp_path: Path, algorithm: str) -> None:
    clock = ManualClock()
    tokens = Tokens(keys_of(algorithm, tmp_path), clock)
    user_id, session_id = uuid4(), uuid4()
    token, expires_at = tokens.issue(user_id, 7, session_id)
    for _ in range(2):  # checked, then remembered
        found = tokens.verify(token)
        assert (found.user_id, found.tenant_id, found.session_id) == (user_id, 7, session_id)
        assert found.expires_at == expires_at == clock.now() + timedelta(seconds=900)
    assert issued(tokens) != issued(tokens)
    assert len(token) < TOKEN_CHARS_MAX / 4
    clock.advance(seconds=900)
    with pytest.raises(Unauthenticated) as caught:
        tokens.verify(token)
    assert caught.value.facts == {"expired": True}


def test_never_outlives_what_it_is_told() -> None:
    tokens = Tokens(SECRET, CLOCK)
    ends = CLOCK.now() + timedelta(seconds=5)
    token, expires_at = tokens.issue(uuid4(), 7, uuid4(), not_after=ends)
    assert tokens.verify(token).expires_at == expires_at == ends


REFUSED: dict[str, Callable[[], str]] = {
    "nothing": lambda: "",
    "no token": lambda: "x",
    "empty parts": lambda: "..",
    "another secret": lambda: jwt.encode(claims(), "another secret of at least 32 bytes", "HS256"),
    "another hash": lambda: jwt.encode(claims(), SECRET * 2, "HS512"),
    "no algorithm": lambda: f"{segment({'alg': 'none'})}.{segment(claims())}.",
    "no algorithm, odd case": lambda: f"{segment({'alg': 'nOnE'})}.{segment(claims())}.",
    "a key nobody knows": lambda: jwt.encode(claims(), SECRET, "HS256", headers={"kid": "k1"}),
    "another audience": lambda: jwt.encode(claims(aud="other"), SECRET, "HS256"),
    "several audiences": lambda: jwt.encode(claims(aud=["x", "y"]), SECRET, "HS256"),
    "no audience": lambda: jwt.encode(claims(aud=None), SECRET, "HS256"),
    "another issuer": lambda: jwt.encode(claims(iss="other"), SECRET, "HS256"),
    "no issuer": lambda: jwt.encode(claims(iss=None), SECRET, "HS256"),
    "a refresh token": lambda: jwt.encode(claims(type="refresh"), SECRET, "HS256"),
    "no type": lambda: jwt.encode(claims(type=None), SECRET, "HS256"),
    "no session": lambda: jwt.encode(claims(sid=None), SECRET, "HS256"),
    "no person": lambda: jwt.encode(claims(sub=None), SECRET, "HS256"),
    "no tenant": lambda: jwt.encode(claims(tenant=None), SECRET, "HS256"),
    "no end": lambda: jwt.encode(claims(exp=None), SECRET, "HS256"),
    "an end out of range": lambda: jwt.encode(claims(exp=10**18), SECRET, "HS256"),
    "no uuid": lambda: jwt.encode(claims(sub="admin"), SECRET, "HS256"),
    "expired": lambda: jwt.encode(claims(exp=claims()["iat"] - 1), SECRET, "HS256"),
    "from the future": lambda: jwt.encode(claims(iat=claims()["iat"] + 61), SECRET, "HS256"),
    "too long": lambda: jwt.encode(claims(x="x" * TOKEN_CHARS_MAX), SECRET, "HS256"),
    "claims that are no object": lambda: hmac_signed({"alg": "HS256"}, [], SECRET.encode()),  # type: ignore[arg-type]
    "a critical extension": lambda: jwt.encode(
        claims(), SECRET, "HS256", headers={"crit": ["x"], "x": 1}
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    assert refused(Tokens(SECRET, CLOCK), REFUSED[name]())


def test_the_refused_ones_are_otherwise_sound() -> None:
    tokens = Tokens(SECRET, CLOCK)
    assert tokens.verify(jwt.encode(claims(), SECRET, "HS256")).tenant_id == 7
    ahead = claims(iat=claims()["iat"] + 59)  # another replica's clock
    assert tokens.verify(jwt.encode(ahead, SECRET, "HS256")).tenant_id == 7


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256"])
@pytest.mark.parametrize("header", [{"kid": "k1"}, {}])
def test_a_public_key_is_no_secret(tmp_path: Path, algorithm: str, header: dict[str, str]) -> None:
    tokens = Tokens(keys_of(algorithm, tmp_path), CLOCK)
    for secret in (public_pem(PEMS[algorithm]), public_pem(PEMS[algorithm]).strip(), b""):
        assert refused(tokens, hmac_signed({"alg": "HS256", **header}, claims(), secret))
        assert refused(tokens, hmac_signed({"alg": algorithm, **header}, claims(), secret))


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256"])
def test_a_key_is_found_by_its_id_only(tmp_path: Path, algorithm: str) -> None:
    tokens = Tokens(keys_of(algorithm, tmp_path), CLOCK)
    key = serialization.load_pem_private_key(PEMS[algorithm], None)
    for headers, is_refused in (({"kid": "k1"}, False), ({"kid": "k2"}, True), ({}, True)):
        token = jwt.encode(claims(), key, algorithm, headers=headers)  # type: ignore[arg-type]
        assert refused(tokens, token) is is_refused
    unhashable = f"{segment({'alg': algorithm, 'kid': ['k1']})}.{segment(claims())}.AA"
    assert refused(tokens, unhashable)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_any_changed_character_is_refused(
    tmp_path_factory: pytest.TempPathFactory, algorithm: str
) -> None:
    tokens = Tokens(keys_of(algorithm, tmp_path_factory.mktemp("keys")), CLOCK)
    token = issued(tokens)
    characters = st.sampled_from(string.ascii_letters + string.digits + "-_.=+/ \n\x00é")

    @settings(max_examples=200, deadline=None)
    @given(st.integers(0, len(token) - 1), characters)
    def change(at: int, character: str) -> None:
        changed = token[:at] + character + token[at + 1 :]
        assert changed == token or refused(tokens, changed)
        assert refused(tokens, token[:at])
        assert refused(tokens, token[:at] + character + token[at:])

    change()
    # The last character of a signature has bits that no byte of it needs.
    for last in string.ascii_letters + string.digits + "-_":
        assert last == token[-1] or refused(tokens, token[:-1] + last)
    for more in ("=", "==", "\n", "A", "."):
        assert refused(tokens, token + more)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_refused(text: str) -> None:
    assert refused(Tokens(SECRET, CLOCK), text)


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256"])
def test_keys_overlap_while_they_are_replaced(
    tmp_path: Path, algorithm: Literal["EdDSA", "RS256"]
) -> None:
    old, new = new_key(algorithm), new_key(algorithm)
    before = Tokens(keys_of(algorithm, tmp_path, a=old), CLOCK)
    announced = Tokens(keys_of(algorithm, tmp_path, b=public_pem(new)), CLOCK)
    after = Tokens(keys_of(algorithm, tmp_path, b=new), CLOCK)
    assert jwt.get_unverified_header(issued(announced))["kid"] == "a"
    assert jwt.get_unverified_header(issued(after))["kid"] == "b"
    assert not refused(after, issued(before))
    assert not refused(announced, issued(after))
    assert refused(before, issued(after))


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256"])
def test_others_verify_by_the_published_keys(tmp_path: Path, algorithm: str) -> None:
    tokens = Tokens(keys_of(algorithm, tmp_path), CLOCK)
    published = tokens.published_keys()
    assert not [jwk for jwk in published if {"d", "p", "q", "k"} & set(jwk)]
    token = issued(tokens)
    key = jwt.PyJWKSet.from_dict({"keys": published})["k1"]
    found = jwt.decode(
        token, key, audience="fleetgraph", options={"verify_exp": False, "verify_iat": False}
    )
    assert UUID(found["sub"]) == tokens.verify(token).user_id


def test_a_secret_is_not_published() -> None:
    assert Tokens(SECRET, CLOCK).published_keys() == []


@pytest.mark.parametrize(
    ("algorithm", "files"),
    [
        ("EdDSA", {}),
        ("EdDSA", {"k1": PEMS["RS256"]}),
        ("RS256", {"k1": PEMS["EdDSA"]}),
        ("EdDSA", {"k1": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}),
        ("EdDSA", {"k1": b"no key"}),
        ("EdDSA", {"k1": public_pem(PEMS["EdDSA"])}),
    ],
)
def test_keys_of_no_use_are_refused(
    tmp_path: Path, algorithm: Literal["EdDSA", "RS256"], files: dict[str, bytes]
) -> None:
    for kid, pem in files.items():
        (tmp_path / f"{kid}.pem").write_bytes(pem)
    with pytest.raises(BadKeys, match=str(tmp_path)):
        TokenKeys.of_folder(tmp_path, algorithm)


def test_secrets_do_not_show() -> None:
    assert SECRET not in repr(TokenKeys.of_secret(SECRET))
    with pytest.raises(BadKeys):
        TokenKeys.of_secret("short")
