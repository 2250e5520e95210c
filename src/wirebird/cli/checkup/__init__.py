"""What ``wirebird doctor`` looks at. It needs the standard library alone, so that it works where
something is missing.

    facts.py     what is here, as values; ``gather`` is the whole of it
    engines.py   which engine runs, and why; whether it owns sockets
    judging.py   what of it is broken
    shown.py     all that for people and for programs

Read `facts.py` first.
"""
