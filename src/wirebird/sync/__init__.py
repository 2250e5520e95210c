"""WebSockets for programs with threads: ``client``, ``server``, ``router``.

How it works, in the order in which to read it: ``transfer.py`` (the bytes of a connection, and who
reads its socket when), ``receiving.py`` and ``sending.py``, ``reactor.py`` (the one thread that
looks after connections that nobody is using), ``streams.py`` (a socket that never blocks, with TLS
or without), ``connection.py`` (the rest of a connection). It imports the engines and the facades,
and nothing of asyncio.
"""
