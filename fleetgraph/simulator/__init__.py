"""Simulated agents and plant: real clients over HTTP and MQTT, and the load generator."""
