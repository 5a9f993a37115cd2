"""When an agent falls silent by itself: the trap every backend must keep it out of."""

from __future__ import annotations

_MUTE_AFTER = 2
_HEAL_AFTER = 3


class CloudHealth:
    """Counts failures of polls and reports; two of a kind in a row mute the agent.

    A muted agent sends no reports and no telemetry. Good polls alone do not heal it, unless only
    polls failed and at least three of them; a new MQTT session does.
    """

    def __init__(self) -> None:
        self.is_muted = False
        self._polls_failed = 0
        self._reports_failed = 0

    def poll_failed(self) -> None:
        """Count a poll that was answered neither by 200 nor by 304."""
        self._polls_failed += 1
        self._judge()

    def poll_succeeded(self) -> None:
        """Forget failed polls; heal only if they alone were the trouble and it was clear."""
        if self._polls_failed >= _HEAL_AFTER and self._reports_failed == 0:
            self.is_muted = False
        self._polls_failed = 0

    def report_failed(self) -> None:
        """Count a report by HTTP that was refused or lost."""
        self._reports_failed += 1
        self._judge()

    def report_succeeded(self) -> None:
        """Forget failed reports."""
        self._reports_failed = 0

    def session_renewed(self) -> None:
        """Begin anew: MQTT is connected again."""
        self._polls_failed = self._reports_failed = 0
        self.is_muted = False

    def _judge(self) -> None:
        if max(self._polls_failed, self._reports_failed) >= _MUTE_AFTER:
            self.is_muted = True
