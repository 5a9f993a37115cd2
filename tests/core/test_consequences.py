from __future__ import annotations

import pytest

from core.target_documents import consequences


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        ({}, ["endpoints", "anomalyDetection"]),
        ({"endpoints": [], "anomalyDetection": {}}, ["endpoints"]),
        ({"endpoints": [{}]}, ["anomalyDetection"]),
        ({"endpoints": [{}], "anomaly": {}}, []),
    ],
)
def test_tells_what_an_agent_keeps_that_is_left_out(
    config: dict[str, object], kept: list[str]
) -> None:
    assert [
        text.removeprefix("Without ").split()[0].strip(",") for text in consequences(config)
    ] == kept
