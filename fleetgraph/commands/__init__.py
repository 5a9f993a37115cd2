"""Commands by noun; each module adds its own to the command line."""
