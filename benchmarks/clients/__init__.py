"""Clients under test, against the server in C: one small program each (see `common.py`)."""
