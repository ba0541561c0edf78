"""Room in the socket of a triggerer's log: a full one stops nobody but those who wait for room in it."""

from __future__ import annotations

import asyncio
import io
import logging
import socket
from collections.abc import Iterator

import pytest

from unique_k8s_job.task.compat.log_channel import room

#: More than a socket takes at once.
MUCH = b"x" * (1 << 24)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The end that a process of Airflow logs to, and the one that is read."""
    written, read = socket.socketpair()
    stream = io.TextIOWrapper(written.makefile("wb", buffering=0), write_through=True)
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    yield written, read
    logging.getLogger().removeHandler(handler)
    written.close()
    read.close()


def fill(end: socket.socket) -> int:
    """Write as much as goes without waiting; return how much that is."""
    return end.send(MUCH, socket.MSG_DONTWAIT)


def drain(end: socket.socket, size: int) -> None:
    while size:
        size -= len(end.recv(size))


def test_full_socket_lets_the_loop_go_on_and_gives_room_in_the_order_of_asking(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    written, read = ends

    async def main() -> list[int]:
        filled, order = fill(written), list[int]()

        async def ask(number: int) -> None:
            await room()
            order.append(number)

        waiting = [asyncio.create_task(ask(number)) for number in range(3)]
        for _ in range(10):
            await asyncio.sleep(0)  # the loop goes on
        assert not order
        drain(read, filled)
        await asyncio.gather(*waiting)
        return order

    assert asyncio.run(main()) == [0, 1, 2]


def test_room_that_is_there_is_enough_for_a_record(ends: tuple[socket.socket, socket.socket]) -> None:
    written, read = ends

    async def main() -> None:
        drain(read, fill(written) // 2)  # half full is too full
        waiting = asyncio.create_task(room())
        await asyncio.sleep(0)
        while not waiting.done():
            drain(read, 4096)
            await asyncio.sleep(0.011)
        assert written.send(b"x" * (64 << 10), socket.MSG_DONTWAIT) == 64 << 10

    asyncio.run(main())


def test_one_who_gives_up_waiting_holds_up_nobody(ends: tuple[socket.socket, socket.socket]) -> None:
    written, read = ends

    async def main() -> None:
        filled = fill(written)
        given_up, waiting = asyncio.create_task(room()), asyncio.create_task(room())
        await asyncio.sleep(0)
        given_up.cancel()
        drain(read, filled)
        await asyncio.wait_for(waiting, 10)

    asyncio.run(main())


def test_process_whose_log_goes_elsewhere_has_room() -> None:
    closed = io.StringIO()
    closed.close()
    handlers = [logging.StreamHandler(io.StringIO()), logging.StreamHandler(closed), logging.NullHandler()]
    for handler in handlers:
        logging.getLogger().addHandler(handler)
    try:
        asyncio.run(asyncio.wait_for(room(), 10))
    finally:
        for handler in handlers:
            logging.getLogger().removeHandler(handler)
