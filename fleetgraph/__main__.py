"""`python -m fleetgraph`."""

from fleetgraph.cli import main

main()
