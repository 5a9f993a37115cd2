"""Enums of the contract. Their values are spelt as everywhere else on the wire: lower case.

Types import them from here: an enum that is not registered before its first use is another one.
"""

from __future__ import annotations

from enum import StrEnum

import strawberry
from strawberry.schema.name_converter import NameConverter
from strawberry.types.enum import EnumValue, StrawberryEnumDefinition

from core.agent_updates import UpdateState as AgentUpdateState
from core.broker_drift import DriftKind
from core.callers import Role
from core.reading_store import Aggregate
from core.readings import Quality
from core.sensors import EndpointStatus
from models.agent_lists import AgentOrder
from models.agent_traffic import TrafficOrder as AgentTrafficOrder
from models.agents import ProvisioningState
from models.fleets import FleetStatus, FleetType
from models.mqtt_accounts import AccountKind as MqttAccountKind


class Names(NameConverter):
    """Camel case for fields, and one spelling of enum values over GraphQL, REST and MQTT."""

    def from_enum_value(self, enum: StrawberryEnumDefinition, enum_value: EnumValue) -> str:
        """Return the value's name in lower case."""
        return enum_value.name.lower()


class AgentStatus(StrEnum):
    """Whether an agent has been heard of within the online window."""

    ONLINE = "online"
    OFFLINE = "offline"


class AgentActivity(StrEnum):
    """Whether an agent may use the system at all."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class ActivityFilter(StrEnum):
    """Which agents a list wants."""

    ALL = "all"
    ACTIVE = "active"
    INACTIVE = "inactive"


strawberry.enum(ActivityFilter, description="Which agents a list wants.")
strawberry.enum(AgentStatus, description="Whether an agent was heard of within the online window.")
strawberry.enum(AgentActivity, description="Whether an agent may use the system at all.")
strawberry.enum(
    ProvisioningState,
    description="How far an agent is: registered, then proven to hold its private key.",
)
strawberry.enum(AgentOrder, description="What a list of agents is sorted by.")
strawberry.enum(
    AgentUpdateState,
    name="AgentUpdateState",
    description="How far an update of an agent's software is; the first four are open.",
)
strawberry.enum(
    AgentTrafficOrder,
    name="AgentTrafficOrder",
    description="What agents' traffic is sorted by: most, or newest, first.",
)
strawberry.enum(
    EndpointStatus,
    name="SensorStatus",
    description="How far a sensor is on its way to its agent.",
)
strawberry.enum(FleetType, description="What the gateways of a fleet are.")
strawberry.enum(FleetStatus, description="Where a fleet stands.")
strawberry.enum(Role, description="What a caller is to its tenant.")
strawberry.enum(Aggregate, description="How the readings of one bucket become one value.")
strawberry.enum(
    DriftKind,
    name="BrokerDriftKind",
    description="In what a broker can differ from the accounts that it was given.",
)
strawberry.enum(
    MqttAccountKind, name="MqttAccountKind", description="Whom an account on the broker is for."
)
strawberry.enum(Quality, description="How far a reading can be trusted.")

__all__ = [
    "ActivityFilter",
    "AgentActivity",
    "AgentOrder",
    "AgentStatus",
    "AgentTrafficOrder",
    "AgentUpdateState",
    "Aggregate",
    "DriftKind",
    "EndpointStatus",
    "FleetStatus",
    "FleetType",
    "MqttAccountKind",
    "Names",
    "ProvisioningState",
    "Quality",
    "Role",
]
