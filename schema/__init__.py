"""The GraphQL contract: declarations that call use cases. May import core, models and resolvers."""
