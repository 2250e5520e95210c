"""The protocol, sans-I/O: RFC 6455 and 7692 with the standard library alone.

Nothing here opens a socket, reads a clock, starts a thread or awaits; time, bytes and randomness
come from outside. It may import ``wirebird.exceptions`` and itself. Read ``connection.py`` first.
"""
