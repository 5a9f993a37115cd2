"""Fewer points that draw the same picture: largest triangle, three buckets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def lttb(times: NDArray[np.int64], values: NDArray[np.float64], points: int) -> NDArray[np.intp]:
    """Return the ascending indexes of at most `points` readings that keep the line's shape.

    The first and the last reading are always among them. Values that are not finite count as 0
    for the choice only. `points` must be 3 or more, else only the ends are returned.
    """
    count = len(times)
    if count <= points:
        return np.arange(count)
    if points < 3:
        return np.array([0, count - 1][: max(points, 1)])
    x = (times - times[0]).astype(np.float64)
    y = np.where(np.isfinite(values), values, 0.0)
    edges = np.linspace(1, count - 1, points - 1).astype(np.intp)
    sums_x, sums_y = np.concatenate([[0.0], x.cumsum()]), np.concatenate([[0.0], y.cumsum()])
    chosen = np.empty(points, dtype=np.intp)
    chosen[0], chosen[-1] = 0, count - 1
    at = 0
    for bucket in range(points - 2):
        start, end = edges[bucket], edges[bucket + 1]
        # The mean of the next bucket stands for the point that will be chosen there.
        after = edges[bucket + 2] if bucket + 2 < len(edges) else count
        width = after - end
        mean_x = (sums_x[after] - sums_x[end]) / width
        mean_y = (sums_y[after] - sums_y[end]) / width
        area = np.abs(
            (x[at] - mean_x) * (y[start:end] - y[at]) - (x[at] - x[start:end]) * (mean_y - y[at])
        )
        at = int(start + area.argmax())
        chosen[bucket + 1] = at
    return chosen
