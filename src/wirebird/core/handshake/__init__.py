"""The opening handshake, both roles, as functions of requests and responses. RFC 6455, 4.

``key.py`` is the proof that the server speaks WebSocket; read ``server.py`` first.
"""
