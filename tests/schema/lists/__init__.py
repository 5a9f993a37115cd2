"""A case for each list of objects in the schema, by noun: see tests/schema/test_statements.py."""
