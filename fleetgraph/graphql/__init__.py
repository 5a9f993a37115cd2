"""GraphQL on the wire: HTTP, server-sent events, multipart and WebSockets over one engine.

`edge.py` holds what every transport needs, `incoming.py` reads what clients ask for, and each
transport has files of its own. What an operation means is none of their business.
"""
