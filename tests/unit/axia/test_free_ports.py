"""Ports for servers of tests: two processes never get the same, and no outgoing connection takes one."""

import multiprocessing
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from axia.testing import _ports, free_port

SCRIPT = "from axia.testing import free_port\nprint([free_port() for _ in range(150)], flush=True)\ninput()"


@pytest.fixture
def outgoing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's file of ports for outgoing connections, with what is usual."""
    file = tmp_path / "ip_local_port_range"
    file.write_text("32768\t60999\n")
    monkeypatch.setattr(_ports, "_OUTGOING", file)
    return file


@pytest.mark.parametrize(
    ("written", "fewest", "most"),
    [
        ("32768 60999", 12_000, 32_767),
        ("1024 30000", 30_001, 65_199),
        ("1024 11000", 12_000, 65_199),
        ("", 12_000, 32_767),
    ],
)
def test_ports_differ_and_are_not_those_of_outgoing_connections(
    outgoing: Path, written: str, fewest: int, most: int
) -> None:
    outgoing.write_text(written)
    ports = _ports.Ports()
    found = [ports.free() for _ in range(150)]
    ports.forget()
    assert len(set(found)) == len(found)
    assert fewest <= min(found) < max(found) <= most


def test_where_all_ports_are_for_connections_the_kernel_chooses(outgoing: Path) -> None:
    outgoing.write_text("1024 65535")
    ports = _ports.Ports()
    found = [ports.free() for _ in range(150)]
    assert len(set(found)) == len(found)


def test_processes_that_run_at_once_share_no_port() -> None:
    here = {free_port() for _ in range(150)}
    pipe = subprocess.PIPE
    running = [subprocess.Popen([sys.executable, "-c", SCRIPT], stdin=pipe, stdout=pipe, text=True) for _ in range(3)]
    try:
        lines = [process.stdout.readline() for process in running if process.stdout]
    finally:
        for process in running:
            process.communicate("\n", timeout=20)
    ports = [port for line in lines for port in map(int, line.strip("[]\n").split(","))]
    assert len(set(ports)) == 3 * 150
    assert not set(ports) & here


def test_a_forked_process_has_ports_of_its_own() -> None:
    here = {free_port() for _ in range(150)}
    with multiprocessing.get_context("fork").Pool(1) as pool:
        there = set(pool.starmap(free_port, [()] * 150))
    assert not here & there


@pytest.mark.usefixtures("outgoing")
def test_a_port_in_use_is_left_out() -> None:
    ports = _ports.Ports()
    taken = ports.free()
    with socket.create_server(("127.0.0.1", taken)):
        round_of_the_block = {ports.free() for _ in range(198)}
        assert taken not in round_of_the_block
        assert len(round_of_the_block) == 198
    assert taken in {ports.free() for _ in range(199)}
    ports.forget()


@pytest.mark.usefixtures("outgoing")
def test_without_a_free_port_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ports, "_is_free", lambda port: False)
    with pytest.raises(OSError, match=r"no port from \d+ to \d+ is free: end the servers that hold them"):
        _ports.Ports().free()
