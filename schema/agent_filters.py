"""Which agents, in what order: what lists and bulk changes are given."""

from __future__ import annotations

from uuid import UUID

import strawberry

from core.selectors import Selector, parse_selector
from models import agent_lists
from resolvers import agents, tags
from schema.enums import ActivityFilter, AgentOrder, ProvisioningState


@strawberry.input(description="Which agents. What is left out means all.")
class AgentFilter:
    """Conditions on agents; all must hold."""

    online: bool | None = None
    activity: ActivityFilter = ActivityFilter.ALL
    text: str | None = strawberry.field(
        default=None, description="A part of the name, or the whole uuid."
    )
    selector: str | None = strawberry.field(
        default=None, description="What their tags are: `site=berlin, line in (a, b), !legacy`."
    )
    fleet_uuid: UUID | None = None
    provisioning_state: ProvisioningState | None = None
    type: str | None = None
    version: str | None = strawberry.field(
        default=None, description="Version of the agent's software."
    )

    def to_filter(self) -> agents.AgentFilter:
        """Return the same for use cases; raises InvalidInput."""
        active = {ActivityFilter.ACTIVE: True, ActivityFilter.INACTIVE: False}.get(self.activity)
        return agents.AgentFilter(
            online=self.online,
            active=active,
            text=self.text,
            fleet_id=self.fleet_uuid,
            selector=_parsed(self.selector, "filter.selector"),
            provisioning_state=self.provisioning_state,
            type=self.type,
            version=self.version,
        )


@strawberry.input(description="The order of a list; those that were never seen come last.")
class AgentSort:
    """What is sorted by, and whether from the other end."""

    by: AgentOrder = AgentOrder.NAME
    descending: bool = False

    def to_sort(self) -> agents.AgentSort:
        """Return the same for use cases."""
        return agent_lists.AgentSort(self.by, self.descending)


@strawberry.input(description="Agents that meet all that is given, of which there is something.")
class AgentSelection:
    """Agents by name, by tags, by fleet."""

    uuid: UUID | None = strawberry.field(default=None, description="One more of `uuids`.")
    uuids: list[UUID] | None = strawberry.field(default=None, description="At most 1000.")
    selector: str | None = None
    fleet_uuid: UUID | None = None

    def to_selection(self) -> tags.AgentSelection:
        """Return the same for use cases; raises InvalidInput."""
        named = [*(self.uuids or []), *([self.uuid] if self.uuid else [])]
        is_named = self.uuid is not None or self.uuids is not None
        return tags.AgentSelection(
            uuids=named if is_named else None,
            selector=_parsed(self.selector, "select.selector"),
            fleet_id=self.fleet_uuid,
        )


def _parsed(text: str | None, field: str) -> Selector | None:
    return None if text is None else parse_selector(text, field)
