"""Schema changes, in order; one idea each."""
