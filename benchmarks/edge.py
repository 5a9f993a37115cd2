"""Our API as `fleetgraph serve` runs it, less the journal: `python -m benchmarks.edge FACTS`.

Events come in as lines of JSON on a plain socket, as at the peers, and reach the sockets through
everything that real ones go through behind the journal. With `memory` the rows that queries read
lie in memory too, so that the edge is measured without its database.
"""

from __future__ import annotations

import asyncio
import cProfile
import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import uvloop
from pydantic import SecretStr

import fleetgraph.credentials
import resolvers.agents
from benchmarks.memory import FixedSeries, MemoryLive, Rows, sine
from core.callers import Caller
from core.context import Context
from core.passwords import Passwords
from core.policy import BrokerAddress
from core.readings import SeriesColumns, SeriesInfo
from fleetgraph.services import Services, open_services
from fleetgraph.serving import serve_api
from fleetgraph.setting_sections import DataSettings, LimitSettings
from fleetgraph.settings import Settings
from models.agents import Agent
from models.database import DatabaseUrl
from models.users import User


class Facts(msgspec.Struct):
    """What a server is told; the peers know the same words."""

    port: int
    eventsPort: int  # noqa: N815  (as the peers say it)
    dsn: str
    secret: str
    folder: str
    points: int = 10_000
    memory: bool = False
    profile: str = ""
    hashers: int | None = None


async def main(facts: Facts) -> None:
    """Serve until killed, or until the profile is asked for."""
    logging.disable(logging.WARNING)
    folder = Path(facts.folder)
    settings = Settings(
        data=DataSettings(dir=folder, secret=SecretStr(facts.secret)),
        limit=LimitSettings(**dict.fromkeys(LimitSettings.model_fields, 1_000_000_000)),
    )
    url = DatabaseUrl.parse(facts.dsn)
    async with open_services(
        settings, url, secret=facts.secret, data_dir=folder, broker=BrokerAddress(), alone=True
    ) as services:
        agents = await Agent.all()
        infos = {agent.uuid: _info(number, agent) for number, agent in enumerate(agents)}
        live = MemoryLive()
        services = replace(services, live=live)  # type: ignore[arg-type]  # as core/live.py says
        if facts.hashers is not None:
            services = replace(services, passwords=Passwords(concurrent_max=facts.hashers))
        if facts.memory:
            services = await _in_memory(services, agents, infos, facts.points)
        profile = cProfile.Profile() if facts.profile else None
        async with serve_api(services, settings, facts.port):
            events = await asyncio.start_server(
                lambda reader, _: _read_events(reader, live, infos), "127.0.0.1", facts.eventsPort
            )
            async with events:
                if profile is None:
                    await asyncio.Event().wait()
                else:
                    profile.enable()
                    await asyncio.sleep(6.0)
                    profile.disable()
                    profile.dump_stats(facts.profile)


async def _read_events(
    reader: asyncio.StreamReader, live: MemoryLive, infos: dict[UUID, SeriesInfo]
) -> None:
    known = {str(uuid): info for uuid, info in infos.items()}
    decode = msgspec.json.Decoder(tuple[str, list[int], list[float]]).decode
    rest = b""
    while data := await reader.read(262_144):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            uuid, times, values = decode(line)
            info = known[uuid]
            columns = SeriesColumns(
                info,
                np.array(times, dtype=np.int64) * 1_000,
                [*values],
                np.zeros(len(times), dtype=np.int8),
            )
            live.publish(info.agent_id, columns)


async def _in_memory(
    services: Services, agents: list[Agent], infos: dict[UUID, SeriesInfo], points: int
) -> Services:
    """Read the rows that the benchmarks ask for now, and answer from them."""
    users = {user.id: user for user in await User.all()}

    async def caller_from_token(ctx: Context, token: str) -> Caller:
        found = ctx.tokens.verify(token)
        user = users[found.user_id]
        return Caller(user.role, user.tenant_id, user_id=user.id)

    patched: Any = fleetgraph.credentials
    patched.caller_from_token = caller_from_token
    patched = resolvers.agents
    patched._agents = Rows({(agent.tenant_id, agent.uuid): agent for agent in agents})
    info = infos[agents[0].uuid]
    store = FixedSeries(services.pool, services.clock, services.policy, sine(info, points))
    return replace(services, readings=store)


def _info(number: int, agent: Agent) -> SeriesInfo:
    return SeriesInfo(
        number + 1, agent.tenant_id, agent.id, agent.uuid, "press", "temp", "C", "", "press", ""
    )


if __name__ == "__main__":
    uvloop.run(main(msgspec.json.decode(sys.argv[1], type=Facts)))
