from __future__ import annotations

from core.telemetry import decode
from tests.core.test_telemetry import NOW_US, to_json

READING = {"deviceName": "press", "endpoint_uuid": "6a1d0c52-7b3e-4f80-8a11-9c2b3d4e5f60"}


def test_the_id_that_an_agent_gives_a_point_makes_no_series() -> None:
    """It is another one while the point is bad."""
    good = {"metric": "temp", "value": 61.5, "pointIdentity": {"provisionalPointId": "0d3c"}}
    bad = {"metric": "temp", "value": None, "pointIdentity": {"provisionalPointId": "7e1f"}}
    found = decode(to_json({"messages": [READING | good, READING | bad]}), NOW_US)
    assert len(set(found.specs)) == 1
