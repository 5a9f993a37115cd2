"""The program: reads settings, opens connections, serves, works. May import everything."""
