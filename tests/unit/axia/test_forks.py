"""A client in a process that was forked says what to do where it can't work."""

import asyncio
import os
import sys

import pytest

from axia import AsyncClient, Client
from axia._connection import forks

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system doesn't fork")


def in_child(client: Client) -> str:
    """What a call of a forked child says; nobody listens, so one that is made fails to connect."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            client._new_call(1.0)
            with forks.calling():
                grandchild = os.fork()
            if grandchild == 0:
                os._exit(0)
            os.waitpid(grandchild, 0)
            said = "called"
        except RuntimeError as error:
            said = str(error)
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(pid, 0)
    with os.fdopen(reading) as pipe:
        return pipe.read()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forks in processes with threads, from Python 3.12 on
def test_a_client_is_refused_after_a_fork_during_a_call_and_no_other() -> None:
    with Client("127.0.0.1:1") as client:
        assert in_child(client) == "called"
        with forks.calling():
            assert "make a new client in the child process" in in_child(client)
        assert client._new_call(1.0)  # the parent continues
        assert in_child(client) == "called"
    assert sys.modules["axia._connection.forks"].unsafe_forks() == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_async_client_is_refused_in_a_process_forked_after_its_use() -> None:
    async def use() -> str:
        async with AsyncClient("127.0.0.1:1") as client:
            try:
                client._open()
            except RuntimeError as error:
                return str(error)
        return "opened"

    assert asyncio.run(use()) == "opened"
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, asyncio.run(use()).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(pid, 0)
    with os.fdopen(reading) as pipe:
        assert "use axia.Client here, or start processes by multiprocessing's spawn method" in pipe.read()
    assert asyncio.run(use()) == "opened"
