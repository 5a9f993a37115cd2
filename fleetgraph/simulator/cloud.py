"""The HTTP calls of an agent, header for header."""

from __future__ import annotations

import asyncio
import gzip
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import httpx
import orjson

from fleetgraph.simulator.identity import Identity, broker_of
from fleetgraph.simulator.wire import to_json

OS_VERSION = "Debian GNU/Linux 12 (bookworm)"
RETRY_WAITS_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)

_STATE_GZIP_FROM = 1024
_LOGS_GZIP_ABOVE = 2048
_HEADERS = {
    "accept": "*/*",
    "accept-language": "*",
    "sec-fetch-mode": "cors",
    "user-agent": "undici",
    "accept-encoding": "gzip, deflate",
}

T = TypeVar("T")


class CallFailed(Exception):
    """A call that brought no success. `status` is None when no answer came at all."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


class PollAnswer(NamedTuple):
    """What a target-state poll brought; `body` is None for "nothing new"."""

    etag: str | None
    body: Any


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a phase of registration is tried; `on_failure` hears the reason each time."""

    waits_seconds: tuple[float, ...] = RETRY_WAITS_SECONDS
    on_failure: Callable[[str], None] = lambda _reason: None

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until it succeeds; raises the last CallFailed. Every failure is tried again."""
        for wait in self.waits_seconds:
            try:
                return await call()
            except CallFailed as error:
                self.on_failure(str(error))
                await asyncio.sleep(wait)
        return await call()


def open_client() -> httpx.AsyncClient:
    """Return the client that all agents of a process share; certificates are not checked."""
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=32)
    return httpx.AsyncClient(
        headers=_HEADERS,
        timeout=30.0,
        limits=limits,
        verify=False,  # noqa: S501 -- real agents do not check either
        follow_redirects=True,
        trust_env=False,
    )


def base_url(url: str) -> str:
    """Return the beginning of every call's address for a cloud URL, with or without /api."""
    root = url.rstrip("/")
    return f"{root}/v1" if root.endswith("/api") else f"{root}/api/v1"


class CloudClient:
    """One agent's view of the cloud. All calls raise CallFailed."""

    def __init__(self, http: httpx.AsyncClient, url: str, identity: Identity) -> None:
        self._http = http
        self._base = base_url(url)
        self._me = identity

    async def provision(self, provisioning_key: str, retry: Retry) -> None:
        """Register and prove the key pair; the identity then knows its tenant and broker."""
        answer = await retry.run(lambda: self._register(provisioning_key))
        challenge = answer["challenge"]
        await retry.run(lambda: self._exchange_key(challenge))
        self._me.tenant_id = answer["tenantId"]
        self._me.broker = broker_of(answer["mqtt"].get("brokerConfig") or {})
        self._me.provisioned = True

    async def poll(self, etag: str | None) -> PollAnswer:
        """Ask for the target state, unless it is still the one of `etag`."""
        headers = self._device_key()
        if etag is not None:
            headers |= {"if-none-match": etag, "pragma": "no-cache", "cache-control": "no-cache"}
        path = f"/device/{self._me.uuid}/state"
        response = await self._send("GET", path, headers=headers, also=304)
        if response.status_code == 304:
            return PollAnswer(etag, None)
        return PollAnswer(response.headers.get("etag"), _json(response))

    async def report(self, state: dict[str, Any]) -> None:
        """Send a state report by HTTP; `state` is keyed by the agent's uuid."""
        body, headers = to_json(state), self._device_key() | {"Content-Type": "application/json"}
        if len(body) >= _STATE_GZIP_FROM:
            body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
        await self._send("PATCH", "/device/state", headers=headers, content=body)

    async def send_logs(self, batch_id: str, attempt: int, lines: bytes) -> bool:
        """Send NDJSON lines; True when the answer names the batch, which alone confirms it."""
        headers = self._device_key() | {
            "Content-Type": "application/x-ndjson",
            "X-Batch-Id": batch_id,
            "X-Batch-Attempt": str(attempt),
        }
        if len(lines) > _LOGS_GZIP_ABOVE:
            lines, headers["Content-Encoding"] = gzip.compress(lines), "gzip"
        path = f"/device/{self._me.uuid}/logs"
        response = await self._send("POST", path, headers=headers, content=lines)
        answer = _json(response)
        return isinstance(answer, dict) and answer.get("batchId") == batch_id

    async def tell_dropped(self, summaries: list[dict[str, Any]], now_ms: int) -> None:
        """Tell of log lines that had to be dropped unsent."""
        headers = self._device_key() | {"Content-Type": "application/json"}
        body = to_json({"summaries": summaries, "reportedAt": now_ms})
        path = f"/device/{self._me.uuid}/logs/dropped-summaries"
        await self._send("POST", path, headers=headers, content=body)

    async def rotate_key(self, reason: str) -> None:
        """Get a new device key and take it up by a first call with it."""
        headers = self._device_key() | {"Content-Type": "application/json"}
        path = f"/device/{self._me.uuid}/rotate-key"
        content = to_json({"reason": reason})
        answer = _json(await self._send("POST", path, headers=headers, content=content))
        try:
            self._me.device_key = str(answer["data"]["new_api_key"])
        except (KeyError, TypeError) as error:
            raise CallFailed("the answer to the rotation holds no key") from error
        await self._send("GET", f"/device/{self._me.uuid}/ping", headers=self._device_key())

    async def _register(self, provisioning_key: str) -> dict[str, Any]:
        me = self._me
        body = {
            "uuid": me.uuid,
            "deviceName": me.name,
            "deviceType": "standalone",
            "deviceApiKey": me.device_key,
            "devicePublicKey": me.public_key_pem(),
            "macAddress": ":".join(("02", "00", "5e", me.uuid[0:2], me.uuid[2:4], me.uuid[4:6])),
            "osVersion": OS_VERSION,
            "agentVersion": me.agent_version,
        }
        headers = {
            "x-provisioning-key": provisioning_key,
            "X-Idempotency-Key": f"register-{me.uuid}",
            "Content-Type": "application/json",
        }
        path = "/agent/register"
        response = await self._send("POST", path, headers=headers, content=to_json(body))
        answer = _json(response)
        if not isinstance(answer, dict):
            raise CallFailed("the answer to the registration is no object")
        missing = [key for key in ("mqtt", "challenge", "tenantId") if not answer.get(key)]
        if missing:
            raise CallFailed(f"the answer to the registration lacks {', '.join(missing)}")
        return answer

    async def _exchange_key(self, challenge: str) -> None:
        signature = self._me.sign(f"{self._me.uuid}:{challenge}")
        body = {"uuid": self._me.uuid, "signature": b64encode(signature).decode()}
        headers = {
            "x-agent-key": self._me.device_key,
            "X-Idempotency-Key": f"key-exchange-{self._me.uuid}",
            "Content-Type": "application/json",
        }
        path = f"/device/{self._me.uuid}/key-exchange"
        _json(await self._send("POST", path, headers=headers, content=to_json(body)))

    def _device_key(self) -> dict[str, str]:
        return {"X-Device-API-Key": self._me.device_key}

    async def _send(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str],
        content: bytes | None = None,
        also: int = 200,
    ) -> httpx.Response:
        try:
            response = await self._http.request(
                method, self._base + path, headers=headers, content=content
            )
        except (httpx.HTTPError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise CallFailed(f"{self._base} does not answer: {reason}") from error
        if not (response.is_success or response.status_code == also):
            raise CallFailed(_refusal(response), response.status_code)
        return response


def _json(response: httpx.Response) -> Any:
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        raise CallFailed("the answer is no JSON", response.status_code) from error


def _refusal(response: httpx.Response) -> str:
    """Return status and reason of an error in one line."""
    try:
        body = orjson.loads(response.content)
        detail = body.get("detail") or body.get("message") or body.get("error")
    except (orjson.JSONDecodeError, AttributeError):
        detail = None
    return f"{response.status_code} {detail or response.reason_phrase}"
