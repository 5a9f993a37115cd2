"""Readings and their journal: asyncpg and SQL files, columns in and columns out; no ORM."""
