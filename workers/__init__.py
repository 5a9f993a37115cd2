"""What runs without a request. May import core, models and resolvers; never schema."""
