"""Seeded loads that print figures; `make bench` runs them all. Ratios count, not absolutes."""
