"""Who reaches whom: nobody touches a person, or gives a role, beyond what they may do themselves."""

from __future__ import annotations

from core.access import OF_ONESELF, permissions_of
from core.callers import Caller, Role
from core.errors import Forbidden, InvalidInput

PEOPLE = (Role.OWNER, Role.ADMIN, Role.MANAGER, Role.OPERATOR, Role.VIEWER)
"""The roles of people, highest first."""


def check_is_of_people(role: Role, field: str = "role") -> None:
    """Raise InvalidInput for a role that no person has."""
    if role not in PEOPLE:
        raise InvalidInput(field, f"must be one of {', '.join(PEOPLE)}")


def check_reach(caller: Caller, role: Role) -> None:
    """Raise Forbidden unless `caller` may give `role`, or touch a person who has it.

    An API key reaches only roles below its person's, and none that may do more than the key.
    """
    if caller.role not in PEOPLE or PEOPLE.index(role) < PEOPLE.index(caller.role):
        raise Forbidden(f"The role {role} is above the role {caller.role}", role=role.value)
    if caller.api_key_id is not None and role is caller.role:
        raise Forbidden(f"An API key reaches only roles below {role}", role=role.value)
    # What a key never has, it gives to nobody.
    beyond = permissions_of(Caller(role)) - permissions_of(caller) - OF_ONESELF
    if beyond:
        raise Forbidden(
            f"The role {role} may do more than this API key: {', '.join(sorted(beyond))}",
            role=role.value,
        )
