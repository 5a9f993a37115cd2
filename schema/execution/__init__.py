"""Carrying out operations: prepared once per document, then run for each request and event.

Knows no transport: `fleetgraph/graphql/` and `rest_compat/` hand requests in and write answers
out. May import what `schema/` may.
"""
