"""Apps as an agent reports them, typed."""

from __future__ import annotations

import strawberry

from core.app_drift import image_of, services_of, state_of
from schema.directives import list_size


@strawberry.type(description="A container of an app.")
class RunningService:
    """One service of a reported app."""

    name: str
    image: str | None
    state: str | None = strawberry.field(description="In the container engine's word.")
    container_id: str | None


@strawberry.type(description="An app as its agent reports it.")
class RunningApp:
    """One reported app."""

    app_id: str
    name: str | None
    services: list[RunningService] = strawberry.field(directives=[list_size(10)])

    @classmethod
    def of(cls, app_id: str, app: object) -> RunningApp:
        """Return what a report says of an app; what has an unusable type is null."""
        name = app.get("appName") if isinstance(app, dict) else None
        return cls(
            app_id=app_id,
            name=name if isinstance(name, str) else None,
            services=[
                RunningService(
                    name=service_name,
                    image=image_of(service),
                    state=state_of(service),
                    container_id=_text(service.get("containerId")),
                )
                for service_name, service in services_of(app).items()
            ],
        )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
