"""What ``wirebird connect`` is made of: a conversation between a person, or a pipe, and a server.

Start reading at `session.py`. `escape.py` keeps a peer's control characters off the terminal,
`console.py` writes, through `outputs.py` where it is a pipe, `inputs.py` reads, `orders.py` knows
the commands of the prompt, and `outcome.py` the exit codes.
"""
