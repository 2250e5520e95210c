"""The services of ``wirebird serve``, written as any user of Wirebird would write them.

    app.py       one port: which path is what
    files.py     the page, over plain HTTP
    origins.py   which pages may connect
    room.py      the room, and the JSON that is spoken in it
    speech.py    what is taken from a peer, and in which form
    pace.py      how often a peer may speak
    taps.py      the frames of a connection, for who wants to see them

Read `app.py` first, then `room.py`.
"""
