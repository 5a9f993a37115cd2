"""Changes to agents that operators make: names, tags, activity, deletion."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import strawberry

from models import agents as rows
from resolvers import register
from resolvers import tags as use_cases
from schema.agent_filters import AgentSelection
from schema.agents import Agent
from schema.context import Info
from schema.directives import list_size, requires
from schema.scalars import Json

First = Annotated[int, strawberry.argument(description="At most 500.")]
Prefix = Annotated[str, strawberry.argument(description="What they begin with.")]
Set = Annotated[Json, strawberry.argument(description="Tags to set: an object of texts by key.")]
Remove = Annotated[list[str] | None, strawberry.argument(description="Keys to take off.")]


@strawberry.input(description='New values of an agent; what is left out stays, "" clears.')
class AgentInput:
    """The columns that people fill."""

    name: str | None = None
    type: str | None = None
    location: str | None = None
    ip_address: str | None = None
    mac_address: str | None = None

    def to_changes(self) -> register.AgentChanges:
        """Return the same for use cases."""
        return register.AgentChanges(
            self.name, self.type, self.location, self.ip_address, self.mac_address
        )


@strawberry.type(description="What a change of many agents' tags did, or would do.")
class TagChange:
    """Read off the use case's value."""

    matched: int = strawberry.field(description="How many agents it was for.")
    changed: int = strawberry.field(description="How many of them differ now.")
    uuids: list[UUID] = strawberry.field(description="At most 100 of those that differ.")


@strawberry.type(description="A tag's key and how many agents have it.")
class TagKey:
    """One entry of a list to choose from."""

    key: str
    agents: int


@strawberry.type(description="A tag's value and how many agents have it.")
class TagValue:
    """One entry of a list to choose from."""

    value: str
    agents: int


@strawberry.type
class RegisterQuery:
    """Fields of Query."""

    @strawberry.field(
        description="Keys of tags in use, by name.",
        directives=[requires("tags.list_tag_keys"), list_size(50, argument="first")],
    )
    async def tag_keys(self, info: Info, prefix: Prefix = "", first: First = 500) -> list[TagKey]:
        """Return keys with the number of agents."""
        found = await use_cases.list_tag_keys(info.context.ctx, prefix, first)
        return [TagKey(key=each.text, agents=each.agents) for each in found]

    @strawberry.field(
        description="Values in use of one key, by value.",
        directives=[requires("tags.list_tag_values"), list_size(50, argument="first")],
    )
    async def tag_values(
        self, info: Info, key: str, prefix: Prefix = "", first: First = 500
    ) -> list[TagValue]:
        """Return values with the number of agents."""
        found = await use_cases.list_tag_values(info.context.ctx, key, prefix, first)
        return [TagValue(value=each.text, agents=each.agents) for each in found]


@strawberry.type
class RegisterMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        graphql_type=Agent,
        description="Change what an agent is called and where it stands.",
        directives=[requires("register.update_agent")],
    )
    async def update_agent(self, info: Info, uuid: UUID, changes: AgentInput) -> rows.Agent:
        """Return the changed agent."""
        return await register.update_agent(info.context.ctx, uuid, changes.to_changes())

    @strawberry.mutation(
        graphql_type=Agent,
        description="Lock an agent out, over HTTP and MQTT and at once, or let it come back.",
        directives=[requires("register.set_agent_active")],
    )
    async def set_agent_active(self, info: Info, uuid: UUID, is_active: bool) -> rows.Agent:
        """Return the changed agent."""
        return await register.set_agent_active(info.context.ctx, uuid, is_active)

    @strawberry.mutation(
        description="Delete an agent with its keys, states, account and events. Its readings are "
        "out of reach from then on; its uuid may register anew. Returns the uuid.",
        directives=[requires("register.delete_agent")],
    )
    async def delete_agent(self, info: Info, uuid: UUID) -> UUID:
        """Return whom there is no more."""
        return await register.delete_agent(info.context.ctx, uuid)

    @strawberry.mutation(
        graphql_type=Agent,
        description="Set tags of an agent and take keys off; its other tags stay.",
        directives=[requires("tags.set_tags")],
    )
    async def set_agent_tags(
        self,
        info: Info,
        uuid: UUID,
        set: Set | None = None,  # noqa: A002  # the plain word in the contract
        remove: Remove = None,
    ) -> rows.Agent:
        """Return the changed agent."""
        return await use_cases.set_tags(
            info.context.ctx, uuid, {} if set is None else set, remove or []
        )

    @strawberry.mutation(
        graphql_type=Agent,
        description="Give an agent these tags and no others.",
        directives=[requires("tags.replace_tags")],
    )
    async def replace_agent_tags(self, info: Info, uuid: UUID, tags: Json) -> rows.Agent:
        """Return the changed agent."""
        return await use_cases.replace_tags(info.context.ctx, uuid, tags)

    @strawberry.mutation(
        graphql_type=Agent,
        description="Take one tag off an agent; NOT_FOUND when it does not have it.",
        directives=[requires("tags.remove_tag")],
    )
    async def remove_agent_tag(self, info: Info, uuid: UUID, key: str) -> rows.Agent:
        """Return the changed agent."""
        return await use_cases.remove_tag(info.context.ctx, uuid, key)

    @strawberry.mutation(
        graphql_type=TagChange,
        description="Set tags of many agents and take keys off: all of it, or on an error nothing.",
        directives=[requires("tags.change_tags")],
    )
    async def change_tags(
        self,
        info: Info,
        select: AgentSelection,
        set: Set | None = None,  # noqa: A002  # as above
        remove: Remove = None,
        dry_run: Annotated[
            bool, strawberry.argument(description="Only tell what would change.")
        ] = False,
    ) -> use_cases.TagChange:
        """Return what changed."""
        return await use_cases.change_tags(
            info.context.ctx,
            select.to_selection(),
            {} if set is None else set,
            remove or [],
            dry_run=dry_run,
        )
