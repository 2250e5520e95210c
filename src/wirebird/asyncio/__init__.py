"""Wirebird for asyncio: adapters that move bytes, arm timers and wake waiters.

They hold no rule of the protocol. It may import the core, ``wirebird.engine`` and the facades.
Read ``connection.py`` first, then ``python_base.py``: the hot half of a connection, per engine.
"""
