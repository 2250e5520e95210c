"""Wirebird: WebSocket for Python."""
