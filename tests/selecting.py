"""Random tags and selectors: few keys and values, so that they often meet."""

from __future__ import annotations

from hypothesis import strategies as st

from core.selectors import Operator, Requirement, Selector

KEYS = st.sampled_from(["site", "line", "in", "notin", "a.b-c_d", "00"])
VALUES = st.one_of(
    st.sampled_from(["a", "b", "berlin", "in", "a, b", '"', "\\", "'; drop table agent; --", "{}"]),
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8),
)
TAGS = st.dictionaries(KEYS, VALUES, max_size=5)


@st.composite
def _requirements(draw: st.DrawFn) -> Requirement:
    operator = draw(st.sampled_from(Operator))
    if operator in {Operator.EXISTS, Operator.MISSING}:
        return Requirement(draw(KEYS), operator)
    values = draw(st.lists(VALUES, min_size=1, max_size=4, unique=True))
    return Requirement(draw(KEYS), operator, tuple(values))


SELECTORS = st.lists(_requirements(), min_size=1, max_size=5).map(
    lambda found: Selector(tuple(found))
)
