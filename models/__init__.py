"""Everything that touches PostgreSQL. May import core."""
