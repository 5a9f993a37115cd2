import pytest

from core.quality import normalise
from core.readings import Quality


@pytest.mark.parametrize(
    ("value", "quality"),
    [
        ("GOOD", Quality.GOOD),
        ("good", Quality.GOOD),
        (" Good, local override", Quality.GOOD),
        ("ok", Quality.GOOD),
        ("VALID", Quality.GOOD),
        ("UNCERTAIN", Quality.UNCERTAIN),
        ("UncertainLastUsableValue", Quality.UNCERTAIN),
        ("questionable", Quality.UNCERTAIN),
        ("fair", Quality.UNCERTAIN),
        ("stale", Quality.STALE),
        ("old", Quality.STALE),
        ("timeout", Quality.STALE),
        ("BAD", Quality.BAD),
        ("BadTimeout", Quality.BAD),
        ("error", Quality.BAD),
        ("invalid", Quality.BAD),
        ("SENSOR_FAILURE", Quality.BAD),
        ("NOT_CONNECTED", Quality.BAD),
        ("poor", Quality.BAD),
        ("unknown", Quality.UNKNOWN),
        ("threshold", Quality.UNKNOWN),
        ("", Quality.UNKNOWN),
        ("good" * 1000, Quality.UNKNOWN),
    ],
)
def test_words(value: str, quality: Quality) -> None:
    assert normalise(value) is quality


@pytest.mark.parametrize(
    ("value", "quality"),
    [
        (0, Quality.GOOD),
        (1, Quality.GOOD),
        (192, Quality.GOOD),
        (192.0, Quality.GOOD),
        (0x3FFF_FFFF, Quality.GOOD),
        (0x4000_0000, Quality.UNCERTAIN),
        (0x4094_0000, Quality.STALE),
        (0x409B_0000, Quality.STALE),
        (0x409B_0401, Quality.STALE),
        (0x8000_0000, Quality.BAD),
        (0x8005_0000, Quality.BAD),
        (-0x8000_0000, Quality.BAD),
        (-1, Quality.BAD),
        (0xC000_0000, Quality.UNKNOWN),
        (1 << 32, Quality.UNKNOWN),
        (0.5, Quality.UNKNOWN),
        (float("nan"), Quality.UNKNOWN),
        (float("inf"), Quality.UNKNOWN),
    ],
)
def test_status_codes(value: float, quality: Quality) -> None:
    assert normalise(value) is quality


def test_flags_and_everything_else() -> None:
    assert normalise(True) is Quality.GOOD
    assert normalise(False) is Quality.BAD
    strange: list[object] = [None, [], {}, b"good"]
    for value in strange:
        assert normalise(value) is Quality.UNKNOWN
