"""Seeded loads that print figures; see README.md."""
