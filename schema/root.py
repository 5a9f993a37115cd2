"""The contract, assembled: Query, Mutation, Subscription."""

from __future__ import annotations

from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.types.execution import ExecutionContext

from schema.accounts import AccountMutation, AccountQuery
from schema.agent_metrics import AgentMetricsQuery
from schema.agent_updates import AgentUpdateMutation, AgentUpdateQuery, AgentUpdateSubscription
from schema.agents import AgentQuery, AgentSubscription
from schema.api_keys import ApiKeyMutation, ApiKeyQuery
from schema.audit import AuditQuery, AuditSubscription
from schema.auth import AuthMutation, AuthQuery
from schema.broker_accounts import BrokerAccountMutation, BrokerAccountQuery
from schema.broker_drift import BrokerDriftQuery
from schema.broker_view import BrokerViewQuery, BrokerViewSubscription
from schema.context import GraphQLContext
from schema.current_states import CurrentStateMutation, CurrentStateQuery
from schema.device_keys import DeviceKeyMutation, DeviceKeyQuery
from schema.device_logs import DeviceLogMutation, DeviceLogQuery
from schema.enums import Names
from schema.errors import present
from schema.fleets import FleetMutation, FleetQuery
from schema.history import HistoryQuery
from schema.log_drops import LogDropMutation, LogDropQuery
from schema.log_tail import LogTailSubscription
from schema.provisioning import ProvisioningMutation
from schema.provisioning_keys import ProvisioningKeyMutation, ProvisioningKeyQuery
from schema.readings import ReadingQuery, ReadingSubscription
from schema.register import RegisterMutation, RegisterQuery
from schema.scalars import SCALARS
from schema.sensors import SensorMutation, SensorQuery
from schema.sessions import SessionMutation, SessionQuery
from schema.state_history import StateHistoryQuery
from schema.target_apps import TargetAppMutation
from schema.target_history import TargetHistoryMutation, TargetHistoryQuery
from schema.target_states import TargetStateMutation, TargetStateQuery
from schema.tenants import TenantMutation, TenantQuery
from schema.users import UserMutation, UserQuery


@strawberry.type
class Query(
    AuthQuery,
    AgentQuery,
    ReadingQuery,
    HistoryQuery,
    TargetStateQuery,
    CurrentStateQuery,
    ProvisioningKeyQuery,
    AccountQuery,
    SessionQuery,
    UserQuery,
    ApiKeyQuery,
    TenantQuery,
    AuditQuery,
    FleetQuery,
    RegisterQuery,
    AgentMetricsQuery,
    DeviceLogQuery,
    LogDropQuery,
    AgentUpdateQuery,
    BrokerAccountQuery,
    BrokerDriftQuery,
    BrokerViewQuery,
    DeviceKeyQuery,
    SensorQuery,
    StateHistoryQuery,
    TargetHistoryQuery,
):
    """What can be asked."""


@strawberry.type
class Mutation(
    AuthMutation,
    ProvisioningKeyMutation,
    ProvisioningMutation,
    TargetStateMutation,
    CurrentStateMutation,
    DeviceLogMutation,
    LogDropMutation,
    AccountMutation,
    SessionMutation,
    UserMutation,
    ApiKeyMutation,
    TenantMutation,
    FleetMutation,
    RegisterMutation,
    AgentUpdateMutation,
    BrokerAccountMutation,
    DeviceKeyMutation,
    SensorMutation,
    TargetHistoryMutation,
    TargetAppMutation,
):
    """What can be changed."""


@strawberry.type
class Subscription(
    ReadingSubscription,
    AgentSubscription,
    AuditSubscription,
    AgentUpdateSubscription,
    BrokerViewSubscription,
    LogTailSubscription,
):
    """What can be followed."""


class FleetSchema(strawberry.Schema):
    """A schema whose errors, on every way out of it, are as schema/errors.py says."""

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Replace each error, in place, by what callers may see."""
        context: Any = execution_context.context if execution_context else None
        request_id = context.ctx.request_id if isinstance(context, GraphQLContext) else "-"
        errors[:] = [present(error, request_id) for error in errors]


schema = FleetSchema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    config=StrawberryConfig(name_converter=Names(), scalar_map=SCALARS),
)
