"""Publish and subscribe: one small interface, one file per carrier."""
