"""Lists of people: pages, what narrows them, and who sees which."""

from __future__ import annotations

from uuid import uuid4

import pytest

from core.callers import Role
from core.context import Context
from core.errors import Forbidden, InvalidInput
from models.users import UserFilter
from resolvers import users
from tests.factories import make_user
from tests.resolvers.test_users import with_role


class TestListUsers:
    async def test_pages_by_name_in_whatever_case_without_gap_or_repeat(self, ctx: Context) -> None:
        mark = uuid4().hex
        names = [f"{letter}-{mark}" for letter in "Ba_cDé"]
        for name in names:
            await make_user(ctx, username=name)
        found: list[str] = []
        after = None
        for _ in range(len(names)):
            page = await users.list_users(ctx, first=2, after=after)
            assert page.total == len(names)
            found += [row.username for row in page.items]
            after = page.cursors[-1]
            if not page.has_next:
                break
        assert sorted(found) == sorted(names)
        assert [name for name in found if name[0] in "aBcD"] == [f"{x}-{mark}" for x in "aBcD"]

    async def test_narrows_by_role_activity_and_text(self, ctx: Context) -> None:
        ann = await make_user(ctx, full_name="Ann 100% Lee", role="manager")
        bob = await make_user(ctx, full_name="Bob", is_active=False)
        for wanted, expected in (
            (UserFilter(role=Role.MANAGER), [ann.id]),
            (UserFilter(is_active=False), [bob.id]),
            (UserFilter(text="0% lEE"), [ann.id]),
            (UserFilter(text="%"), [ann.id]),
            (UserFilter(text=bob.email.upper()), [bob.id]),
            (UserFilter(text=bob.username[4:]), [bob.id]),
            (UserFilter(role=Role.MANAGER, is_active=False), []),
        ):
            page = await users.list_users(ctx, wanted)
            assert [row.id for row in page.items] == expected, wanted
            assert page.total == len(expected)

    @pytest.mark.parametrize("after", ["!", "AA", "AGE"])
    async def test_refuses_a_cursor_that_is_none(self, ctx: Context, after: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            await users.list_users(ctx, after=after)
        assert caught.value.facts["field"] == "after"

    async def test_everybody_may_name_colleagues(self, ctx: Context) -> None:
        ann = await make_user(ctx)
        viewer = with_role(ctx, Role.VIEWER)
        assert [row.id for row in (await users.list_people(viewer)).items] == [ann.id]
        with pytest.raises(Forbidden):
            await users.list_users(viewer)
