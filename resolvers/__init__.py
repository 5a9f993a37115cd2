"""Use cases: what can be done with each noun, by whom, and what follows. May import core and models."""
