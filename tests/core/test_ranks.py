from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from uuid import UUID

import pytest

from core.access import SCOPES, permissions_of
from core.callers import Caller, Role, system_caller
from core.errors import Forbidden, InvalidInput
from core.ranks import PEOPLE, check_is_of_people, check_reach


@pytest.mark.parametrize("mine", PEOPLE)
@pytest.mark.parametrize("theirs", PEOPLE)
def test_a_person_reaches_those_of_the_same_rank_and_below(mine: Role, theirs: Role) -> None:
    if PEOPLE.index(theirs) < PEOPLE.index(mine):
        with pytest.raises(Forbidden):
            check_reach(Caller(mine), theirs)
    else:
        check_reach(Caller(mine), theirs)


def test_the_ranks_agree_with_the_role_table() -> None:
    held = [permissions_of(Caller(role)) for role in PEOPLE]
    assert all(below < above for above, below in pairwise(held))


def test_a_key_reaches_no_role_that_may_do_more() -> None:
    everything = Caller(Role.OWNER, scopes=frozenset(SCOPES))
    for role in PEOPLE:
        check_reach(everything, role)
    with pytest.raises(Forbidden, match="below owner"):
        check_reach(replace(everything, api_key_id=UUID(int=1)), Role.OWNER)
    check_reach(replace(everything, api_key_id=UUID(int=1)), Role.ADMIN)
    lacking = Caller(Role.OWNER, scopes=frozenset(SCOPES) - {"billing:manage"})
    check_reach(lacking, Role.ADMIN)
    with pytest.raises(Forbidden, match="billing:manage"):
        check_reach(lacking, Role.OWNER)


@pytest.mark.parametrize("caller", [Caller(Role.AGENT), Caller(Role.NOBODY), system_caller(1)])
def test_who_is_no_person_reaches_nobody(caller: Caller) -> None:
    with pytest.raises(Forbidden):
        check_reach(caller, Role.VIEWER)


@pytest.mark.parametrize("role", [Role.AGENT, Role.SYSTEM, Role.NOBODY])
def test_only_people_have_these_roles(role: Role) -> None:
    with pytest.raises(InvalidInput):
        check_is_of_people(role)
