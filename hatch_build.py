"""Build hook: the web assets are gathered before the package is built, editable installs too."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# A build does not have the project's folder on its path.
sys.path.insert(0, str(Path(__file__).resolve().parent))
from dashboard import build


class WebAssets(BuildHookInterface[BuilderConfig]):
    """Calls dashboard/build.py; without npm's registry the package goes without assets."""

    def dependencies(self) -> list[str]:
        """Return what has to be installed first: Node.js, where there is none."""
        return build.needs()

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Gather the files; a failure is told, and the pages say how to mend it."""
        if build.is_current():
            return
        try:
            build.gather()
        except build.GatheringFailed as error:
            self.app.display_warning(f"Built without GraphiQL and the REST documentation: {error}")
