"""Handlers are tasks as all others, although the engine resumes them by itself."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import io
import logging
import sys
import threading
import traceback
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest
from tests.asyncio.pair import raw_and_server
from tests.attacks.raw import uri_of
from tests.native.ways import Way, only, served

import wirebird.asyncio.server_tasks as tasks_module
from wirebird.asyncio.client import ClientConnection, connect
from wirebird.asyncio.server import ServerConnection, broadcast, serve
from wirebird.exceptions import ConcurrencyError, ConnectionClosed, ConnectionClosedOK

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


# What a handler does when it is told to; each answers with one message, and goes on.


async def tell_task(ws: ServerConnection) -> str:
    return str(asyncio.current_task() is own_task.get())


async def tell_variable(ws: ServerConnection) -> str:
    return variable.get()


async def set_variable(ws: ServerConnection) -> str:
    variable.set(str(await ws.recv()))
    return variable.get()


async def sleep(ws: ServerConnection) -> str:
    await asyncio.sleep(0.001)
    return await tell_task(ws)


async def sleep_zero(ws: ServerConnection) -> str:
    for _ in range(3):
        await asyncio.sleep(0)
    return await tell_task(ws)


async def time_out(ws: ServerConnection) -> str:
    try:
        async with asyncio.timeout(0.01):
            await ws.recv()
    except TimeoutError:
        return "timed out"
    return "no"


async def time_out_late(ws: ServerConnection) -> str:
    async with asyncio.timeout(30):
        return "got " + str(await ws.recv())


async def wait_for_miss(ws: ServerConnection) -> str:
    try:
        await asyncio.wait_for(ws.recv(), 0.01)
    except TimeoutError:
        return "timed out"
    return "no"


async def wait_for_hit(ws: ServerConnection) -> str:
    return "got " + str(await asyncio.wait_for(ws.recv(), 30))


async def wait_for_send(ws: ServerConnection) -> str:
    await asyncio.wait_for(ws.send("sent"), 30)
    return "after"


async def group(ws: ServerConnection) -> str:
    async with asyncio.TaskGroup() as tasks:
        slept = tasks.create_task(asyncio.sleep(0.001, "slept "))
        received = tasks.create_task(ws.recv())
    return slept.result() + str(received.result())


async def gather(ws: ServerConnection) -> str:
    received, slept = await asyncio.gather(ws.recv(True), asyncio.sleep(0, "slept"))
    return f"{received} {slept}"


async def shield(ws: ServerConnection) -> str:
    receiving = asyncio.ensure_future(ws.recv())
    try:
        async with asyncio.timeout(0.01):
            await asyncio.shield(receiving)
    except TimeoutError:
        await ws.send("ready")
        return "got " + str(await receiving)
    return "no"


async def cancel_itself(ws: ServerConnection) -> str:
    task = asyncio.current_task()
    assert task is not None
    task.cancel("by itself")
    try:
        await ws.recv()
    except asyncio.CancelledError as exc:
        return f"cancelled {exc.args} {task.cancelling()} {task.uncancel()}"
    return "no"


async def cancel_itself_and_sleep(ws: ServerConnection) -> str:
    task = asyncio.current_task()
    assert task is not None
    task.cancel("by itself")
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError as exc:
        return f"cancelled {exc.args} {task.cancelling()} {task.uncancel()}"
    return "no"


async def cancel_itself_while_waiting(ws: ServerConnection) -> str:
    """Cancelled by a callback of the loop, while it waits for a message."""
    task = asyncio.current_task()
    assert task is not None
    ws.loop.call_soon(task.cancel, "soon")
    try:
        await ws.recv()
    except asyncio.CancelledError as exc:
        return f"cancelled {exc.args} {task.cancelling()} {task.uncancel()}"
    return "no"


async def generator(ws: ServerConnection) -> str:
    async def two() -> AsyncIterator[Any]:
        for _ in range(2):
            yield await ws.recv()

    return "".join([message async for message in two()])


async def generator_left_early(ws: ServerConnection) -> str:
    async def all_of_them() -> AsyncIterator[Any]:
        try:
            while True:
                yield await ws.recv()
        finally:
            await asyncio.sleep(0)

    messages = all_of_them()
    message = await anext(messages)
    await messages.aclose()  # type: ignore[attr-defined]
    return f"{message} {await ws.recv(True)}"


async def task_of_recv(ws: ServerConnection) -> str:
    return str(await asyncio.create_task(ws.recv()))


async def task_of_send(ws: ServerConnection) -> str:
    await asyncio.create_task(ws.send("sent"))
    return "after"


async def cancelled_task_of_recv(ws: ServerConnection) -> str:
    task = asyncio.create_task(ws.recv())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await ws.send("ready")
    return f"{task.cancelled()} {await ws.recv(True)}"


async def other_task(ws: ServerConnection) -> str:
    async def other() -> bool:
        await asyncio.sleep(0)
        return asyncio.current_task() is not own_task.get()

    return str(await asyncio.create_task(other()))


async def anyio_group(ws: ServerConnection) -> str:
    got: list[Any] = []

    async def receive() -> None:
        got.append(await ws.recv())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receive)
        await anyio.sleep(0)
    with anyio.move_on_after(0.01) as scope:
        await ws.recv()
    return f"{got[0]} {scope.cancelled_caught}"


async def anyio_cancel(ws: ServerConnection) -> str:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await ws.recv()
    return f"cancelled {scope.cancelled_caught}"


async def all_tasks(ws: ServerConnection) -> str:
    return str(own_task.get() in asyncio.all_tasks())


async def second_recv(ws: ServerConnection) -> str:
    first = asyncio.create_task(ws.recv())
    await asyncio.sleep(0)
    await ws.send("ready")
    try:
        await ws.recv()
    except ConcurrencyError:
        return "refused " + str(await first)
    return "no"


async def awaited_twice(ws: ServerConnection) -> str:
    receiving = ws.recv(True)
    got = await receiving
    try:
        await receiving
    except RuntimeError as exc:
        return f"{got} {exc}"
    return "no"


async def send_awaited_twice(ws: ServerConnection) -> str:
    sending = ws.send("sent")
    await sending
    try:
        await sending
    except RuntimeError as exc:
        return str(exc)
    return "no"


async def from_a_thread(ws: ServerConnection) -> str:
    def work() -> Any:
        asyncio.run_coroutine_threadsafe(ws.send("sent"), ws.loop).result()
        return asyncio.run_coroutine_threadsafe(ws.recv(), ws.loop).result()

    return "got " + str(await asyncio.to_thread(work))


own_task: contextvars.ContextVar[asyncio.Task[Any] | None] = contextvars.ContextVar("own_task")

Act = Callable[[ServerConnection], Awaitable[str]]
REUSED = "cannot reuse already awaited coroutine"
ACTS: list[tuple[Act, list[str], list[str]]] = [
    (tell_task, [], ["True"]),
    (tell_variable, [], ["the handler's"]),
    (set_variable, ["changed"], ["changed"]),
    (sleep, [], ["True"]),
    (sleep_zero, [], ["True"]),
    (time_out, [], ["timed out"]),
    (time_out_late, ["a"], ["got a"]),
    (wait_for_miss, [], ["timed out"]),
    (wait_for_hit, ["a"], ["got a"]),
    (wait_for_send, [], ["sent", "after"]),
    (group, ["a"], ["slept a"]),
    (gather, ["a"], ["a slept"]),
    (shield, ["a"], ["ready", "got a"]),
    (cancel_itself, [], ["cancelled ('by itself',) 1 0"]),
    (cancel_itself_and_sleep, [], ["cancelled ('by itself',) 1 0"]),
    (cancel_itself_while_waiting, [], ["cancelled ('soon',) 1 0"]),
    (generator, ["a", "b"], ["ab"]),
    (generator_left_early, ["a", "b"], ["a b"]),
    (task_of_recv, ["a"], ["a"]),
    (task_of_send, [], ["sent", "after"]),
    (cancelled_task_of_recv, ["a"], ["ready", "True a"]),
    (other_task, [], ["True"]),
    (anyio_group, ["a"], ["a True"]),
    (anyio_cancel, [], ["cancelled True"]),
    (all_tasks, [], ["True"]),
    (second_recv, ["a"], ["ready", "refused a"]),
    (awaited_twice, ["a"], [f"a {REUSED}"]),
    (send_awaited_twice, [], ["sent", REUSED]),
    (from_a_thread, ["a"], ["sent", "got a"]),
]
BY_NAME = {act.__name__: act for act, _, _ in ACTS}


async def obey(ws: ServerConnection) -> None:
    """A handler that does what it is told."""
    variable.set("the handler's")
    own_task.set(asyncio.current_task())
    async for order in ws:
        assert isinstance(order, str)
        act = BY_NAME.get(order)
        await ws.send(order if act is None else await act(ws))


async def ask(ws: ClientConnection, act: Act, more: list[str], answers: list[str]) -> None:
    """Let the handler do something, and see that it goes on to echo."""
    await ws.send(act.__name__)
    if answers[0] == "ready":
        assert await ws.recv() == "ready"
        answers = answers[1:]
    for message in more:
        await ws.send(message)
    for answer in answers:
        assert await ws.recv() == answer
    for _ in range(3):
        await ws.send("and on")
        assert await ws.recv() == "and on"


@pytest.mark.parametrize(("act", "more", "answers"), ACTS, ids=list(BY_NAME))
@pytest.mark.parametrize("is_debugging", [False, True], ids=["", "debug"])
def test_act(way: Way, act: Act, more: list[str], answers: list[str], is_debugging: bool) -> None:
    way.is_debugging = is_debugging

    async def main() -> None:
        async with served(obey) as (server, client):
            way.check(client)
            way.check(next(iter(server.connections)))
            await ask(client, act, more, answers)

    way.run(main())


def test_all_of_it_on_one_connection(way: Way) -> None:
    async def main() -> None:
        async with served(obey) as (_, client):
            for act, more, answers in (*ACTS, *reversed(ACTS)):
                if act is not tell_variable:  # it was changed
                    await ask(client, act, more, answers)

    way.run(main())


def test_all_of_it_at_once(way: Way) -> None:
    async def main() -> None:
        async with served(obey) as (server, _):

            async def talk(act: Act, more: list[str], answers: list[str]) -> None:
                async with connect(uri_of(server), proxy=None, compression=None) as client:
                    for _ in range(3):
                        await ask(client, act, more, answers)

            await asyncio.gather(*(talk(*act) for act in ACTS))

    way.run(main())


# Cancelled, and other ends.


def test_a_handler_that_is_cancelled_from_outside(way: Way) -> None:
    seen: list[Any] = []

    async def handler(ws: ServerConnection) -> None:
        tasks.append(asyncio.current_task())
        try:
            async for message in ws:
                await ws.send(message)
        except asyncio.CancelledError as exc:
            seen.append(exc.args)
            raise

    tasks: list[asyncio.Task[Any] | None] = []

    async def main() -> None:
        async with served(handler) as (_, client):
            await client.send("a")
            assert await client.recv() == "a"
            (task,) = tasks
            assert task is not None
            assert task.cancel("why")
            await asyncio.wait([task])
            assert seen == [("why",)]
            assert task.done()
            with pytest.raises(ConnectionClosed):
                await client.recv()

    way.run(main())


def test_a_cancelled_recv_loses_nothing(way: Way) -> None:
    async def handler(ws: ServerConnection) -> None:
        for number in range(300):
            await ws.send(str(number))
            if number % 3 == 0:
                await asyncio.sleep(0)
        await ws.wait_closed()

    async def main() -> None:
        async with served(handler) as (_, client):
            received: list[Any] = []
            while len(received) < 300:
                receiving = asyncio.create_task(client.recv())
                await asyncio.sleep(0)
                receiving.cancel()
                await asyncio.wait([receiving])
                if not receiving.cancelled():
                    received.append(receiving.result())
            assert received == [str(number) for number in range(300)]

    way.run(main())


async def fail_here(ws: ServerConnection) -> None:
    await ws.recv()
    await ws.recv()
    raise ValueError("the user's line")


def test_the_error_of_a_handler_is_logged_and_names_its_line(
    way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with served(fail_here) as (_, client):
            await client.send("a")
            await client.send("b")
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 1011

    with caplog.at_level(logging.ERROR):
        way.run(main())
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.getMessage() == "connection handler failed"
    text = "".join(traceback.format_exception(*record.exc_info))  # type: ignore[misc]
    assert 'raise ValueError("the user\'s line")' in text
    assert "in fail_here" in text


def test_the_stack_of_a_handler_that_waits(way: Way) -> None:
    async def main() -> None:
        async with served(obey) as (_, client):
            await client.send("a")
            assert await client.recv() == "a"
            # Of a task that waits, asyncio shows the frame of its coroutine.
            frames = [frame for task in asyncio.all_tasks() for frame in task.get_stack()]
            assert any(frame.f_code.co_filename == tasks_module.__file__ for frame in frames)
            for task in asyncio.all_tasks():
                output = io.StringIO()
                task.print_stack(file=output)
                assert output.getvalue().startswith("Stack for <Task ")

    way.run(main())


class Stop(BaseException):
    """What no handler of errors may take."""


@pytest.mark.parametrize("kind", [Stop, KeyboardInterrupt, SystemExit])
def test_what_is_no_exception_passes(way: Way, kind: type[BaseException]) -> None:
    way.expects_unseen = True

    async def handler(ws: ServerConnection) -> None:
        await ws.recv()
        await ws.recv()
        raise kind("passes")

    async def main() -> None:
        async with served(handler) as (server, client):
            await client.send("a")
            await client.send("b")
            while not server.handler_tasks:
                await asyncio.sleep(0)
            (task,) = server.handler_tasks
            await asyncio.wait([task])
            seen.append(task.exception())
            if kind is Stop:
                client.transport.abort()
                raise kind("passes")

    seen: list[Any] = []
    with pytest.raises(kind):
        way.run(main())
    gc.collect()


def test_never_awaited(way: Way) -> None:
    async def main() -> None:
        async with served(obey) as (_, client):
            for name, call in (("recv", client.recv), ("send", lambda: client.send("a"))):
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    call()
                    gc.collect()
                assert [warning.category for warning in caught] == [RuntimeWarning]
                message = str(caught[0].message)
                assert message.startswith("coroutine '")
                assert message.endswith(f"{name}' was never awaited")
            client.recv().close()  # which is no omission
            gc.collect()

    way.run(main())


def test_recv_after_the_end(way: Way) -> None:
    async def main() -> None:
        async with served(obey) as (_, client):
            await client.close()
            for _ in range(2):
                with pytest.raises(ConnectionClosedOK):
                    await client.recv()
                with pytest.raises(ConnectionClosedOK):
                    await client.send("a")
            assert [message async for message in client] == []

    way.run(main())


if sys.version_info >= (3, 12):  # and uvloop knows none

    @only("own-asyncio", "transport-asyncio")
    def test_eager_tasks(way: Way) -> None:
        async def main() -> None:
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            async with served(obey) as (_, client):
                for act, more, answers in ACTS:
                    await ask(client, act, more, answers)

        way.run(main())


# Loops.


def test_two_loops_in_two_threads(way: Way) -> None:
    errors: list[BaseException] = []

    def work() -> None:
        own = Way(way.new_loop, way.owns_sockets)

        async def main() -> None:
            async with served(obey) as (_, client):
                for _ in range(5):
                    for act, more, answers in ACTS:
                        if act not in (from_a_thread, tell_variable):
                            await ask(client, act, more, answers)

        try:
            own.run(main())
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_loop_that_is_closed_with_connections_open(way: Way) -> None:
    kept: list[Any] = []

    async def main() -> None:
        server = await serve(obey, "127.0.0.1", 0)
        client = await connect(uri_of(server), proxy=None)
        await client.send("a")
        assert await client.recv() == "a"
        kept.append(client)
        server.close(close_connections=False)  # it listens no more

    with warnings.catch_warnings():
        # The transports of the loops themselves warn; ours has nothing to say.
        if not way.owns_sockets:
            warnings.simplefilter("ignore", ResourceWarning)
        way.run(main())
        kept.clear()
        gc.collect()
        gc.collect()


# Re-entrancy: what a handler does to its own and to other connections, from within a step.


async def close_itself(ws: ServerConnection) -> None:
    async for _ in ws:
        await ws.close(4000, "enough")


async def abort_itself(ws: ServerConnection) -> None:
    async for _ in ws:
        ws.transport.abort()


async def close_others(ws: ServerConnection) -> None:
    async for _ in ws:
        others = [other for other in ws.server.connections if other is not ws]
        await asyncio.gather(*(other.close(4001) for other in others))
        await ws.send("done")


async def abort_others(ws: ServerConnection) -> None:
    async for _ in ws:
        for other in ws.server.connections:
            if other is not ws:
                other.transport.abort()
        await ws.send("done")


async def send_to_all(ws: ServerConnection) -> None:
    async for message in ws:
        for other in list(ws.server.connections):
            await other.send(message)


async def broadcast_to_all(ws: ServerConnection) -> None:
    async for message in ws:
        broadcast(ws.server.connections, message)


async def fail_and_go_on(ws: ServerConnection) -> None:
    async for _ in ws:
        ws.protocol.fail(1008, "no")


@pytest.mark.parametrize(
    "handler",
    [close_itself, abort_itself, close_others, abort_others, send_to_all, broadcast_to_all,
     fail_and_go_on],
)  # fmt: skip
def test_what_handlers_do_to_connections(way: Way, handler: Any) -> None:
    """Everybody's messages come in the same turn; nobody gets lost, and the server goes on."""

    async def main() -> None:
        async with serve(handler, "127.0.0.1", 0, close_timeout=5) as server:
            clients = [
                await connect(uri_of(server), proxy=None, compression=None) for _ in range(6)
            ]
            for client in clients:
                for _ in range(4):
                    client._core.send_text("go")  # type: ignore[union-attr]
            for client in clients:
                client._flush()
            received = [0] * len(clients)

            async def listen(index: int) -> None:
                try:
                    async for _ in clients[index]:
                        received[index] += 1
                        if handler in (send_to_all, broadcast_to_all) and received[index] == 24:
                            return
                except ConnectionClosed:
                    pass

            if handler in (close_others, abort_others):
                # One of them is left, unless they closed each other.
                async with asyncio.timeout(10):
                    while sum(client.state != 3 for client in clients) > 1:
                        await asyncio.sleep(0.001)
            else:
                await asyncio.gather(*(listen(index) for index in range(len(clients))))
            if handler in (send_to_all, broadcast_to_all):
                assert received == [24] * 6
            elif handler is close_itself:
                assert {client.close_code for client in clients} == {4000}
            elif handler is abort_itself:
                assert {client.close_code for client in clients} == {1006}
            elif handler is fail_and_go_on:
                assert {client.close_code for client in clients} == {1008}
            await asyncio.gather(*(client.close() for client in clients))
            async with connect(uri_of(server), proxy=None) as late:
                assert late.state == 1

    way.run(main())


async def test_who_sends_without_end_lets_others_go_first() -> None:
    """A peer that takes everything is no reason to wait, but others have their turn."""
    async with raw_and_server() as (peer, ws):
        turns = 0

        async def watch() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        watching = asyncio.create_task(watch())
        for _ in range(2000):
            await ws.send("x")
        watching.cancel()
        assert turns >= 2000 // 512 - 1
        for _ in range(2000):
            assert (await peer.frame()).payload == b"x"
