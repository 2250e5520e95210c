"""Use the installed Wirebird where nothing else is, on the engine that `wheels.py` expects."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import wirebird
from wirebird import engine

expected = sys.argv[1]
assert callable(wirebird.connect)
assert callable(wirebird.serve)
assert Path(wirebird.__file__).is_relative_to(sys.prefix), wirebird.__file__
assert engine.is_native_built() is (expected == "native")
assert engine.engine_name() == expected


async def echo(ws):
    """Send back what comes."""
    async for message in ws:
        await ws.send(message)


async def talk():
    """Have a server send back a text and a binary message."""
    async with wirebird.serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with wirebird.connect(f"ws://127.0.0.1:{port}") as ws:
            for message in ("Grüße", b"\x00" * 100_000):
                await ws.send(message)
                assert await ws.recv() == message


asyncio.run(talk())

# Extensions made by Cython make modules of its name; what site.py loads by itself is not ours.
foreign = {
    top
    for top in {name.partition(".")[0] for name in sys.modules}
    if top not in sys.stdlib_module_names
    and top not in {"wirebird", "__main__", "cython_runtime"}
    and not top.startswith(("_cython_", "_distutils_hack", "__editable__"))
}
assert not foreign, f"imported although nothing must be: {foreign}"

doctor = [sys.executable, "-m", "wirebird", "doctor", "--json"]
told = subprocess.run(doctor, capture_output=True, text=True, check=False)
assert told.returncode == 0, (told.stdout, told.stderr)
facts = json.loads(told.stdout)
assert facts["engine"]["name"] == expected, facts["engine"]
assert facts["engine"]["is_native_built"] is (expected == "native"), facts["engine"]
assert facts["extras"]["cli"] == {"click": None, "rich": None, "prompt-toolkit": None}
print(f"wirebird {facts['wirebird']}, alone: {expected}; {facts['engine']['why']}")
