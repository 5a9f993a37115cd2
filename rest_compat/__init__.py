"""/api/v1, generated from GraphQL operations. May import core; the schema object is handed in."""
