"""What 'fleetgraph up' runs when no server is configured: PostgreSQL and a broker."""
