"""Many threads at once: nothing is lost, mixed up, or left waiting."""

from __future__ import annotations

import contextlib
import random
import threading

import pytest
from tests.attacks.raw import PING, TEXT, frame
from tests.sync.pair import RawPeer, Thread, pair, port_of, repeat, serving, uri_of

from wirebird.exceptions import ConcurrencyError, ConnectionClosed
from wirebird.sync.client import ClientConnection, connect


def test_messages_of_many_threads_arrive_once_and_each_threads_in_order() -> None:
    with pair() as (client, server):

        def send(name: int) -> None:
            for number in range(200):
                client.send(f"{name} {number}")

        threads = [Thread(send, name) for name in range(5)]
        last = [-1] * 5
        for _ in range(1000):
            name, number = map(int, str(server.recv(timeout=20)).split())
            assert number == last[name] + 1
            last[name] = number
        for thread in threads:
            thread.result()


def test_recv_goes_from_thread_to_thread() -> None:
    with pair() as (client, server):
        came: list[int] = []
        one_at_a_time = threading.Lock()

        def receive() -> None:
            while True:
                with one_at_a_time:
                    if len(came) == 400:
                        return
                    with contextlib.suppress(TimeoutError):
                        came.append(int(server.recv(timeout=random.choice([0, 0.001, 1]))))

        threads = [Thread(receive) for _ in range(4)]
        for number in range(400):
            client.send(str(number))
            if number % 40 == 0:
                assert client.ping().wait(20)  # it is answered, whoever has the socket
        for thread in threads:
            thread.result()
        assert came == list(range(400))


@pytest.mark.parametrize("seed", range(3))
def test_everything_at_once(seed: int) -> None:
    def use(ws: ClientConnection, chance: random.Random) -> None:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(60):
                try:
                    match chance.randrange(7):
                        case 0:
                            ws.recv(timeout=0)
                        case 1:
                            ws.recv(timeout=0.002)
                        case 2:
                            ws.send(["a", "b"])
                        case 3:
                            ws.ping()
                        case 4:
                            ws.pong()
                        case 5 if chance.random() < 0.05:
                            ws.close()
                        case _:
                            ws.send("x" * chance.randrange(20_000))
                except (TimeoutError, ConcurrencyError):
                    pass

    with serving() as server:
        connections = [connect(uri_of(server), proxy=None) for _ in range(3)]
        threads = [
            Thread(use, ws, random.Random(seed * 100 + number))
            for number, ws in enumerate(connections * 4)
        ]
        for thread in threads:
            thread.result()
        for ws in connections:
            ws.close()
            # Failed where the Close came in the middle of a fragmented message.
            assert ws.close_code in (1000, 1006, 1011)


def test_many_connections_come_and_go() -> None:
    def visit(port: int) -> None:
        with connect(f"ws://127.0.0.1:{port}/", proxy=None) as ws:
            ws.send("x")
            assert ws.recv(timeout=20) == "x"

    with serving() as server:
        threads = [Thread(repeat, 10, visit, port_of(server)) for _ in range(8)]
        for thread in threads:
            thread.result()


def test_idle_connections_are_all_looked_after() -> None:
    with serving(lambda ws: ws.wait_closed()) as server, contextlib.ExitStack() as stack:  # type: ignore[arg-type]
        peers = [stack.enter_context(RawPeer.connect(port_of(server))) for _ in range(50)]
        for peer in peers:
            peer.open()
        for payload in (b"1", b"2"):
            for peer in peers:
                peer.send(frame(TEXT, b"unread"), frame(PING, payload))
            assert [peer.frame().payload for peer in peers] == [payload] * 50
        for peer in peers:
            peer.reset()


def test_close_and_send_at_the_same_time() -> None:
    for _ in range(20):
        with pair() as (client, server):
            sending = Thread(repeat, 10**9, client.send, "x")
            receiving = Thread(lambda server=server: list(server))
            closing = Thread(server.close)
            with pytest.raises(ConnectionClosed):
                sending.result()
            closing.result()
            receiving.result()
            assert client.close_code == server.close_code == 1000
