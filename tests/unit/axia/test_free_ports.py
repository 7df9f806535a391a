"""Ports for servers of tests: two processes never receive the same, and no outgoing connection takes one."""

import multiprocessing
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from axia.testing import _ports, free_port

SCRIPT = "from axia.testing import free_port\nprint([free_port() for _ in range(150)], flush=True)\ninput()"


def first_outgoing() -> int:
    return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


def test_ports_differ_and_are_below_those_of_outgoing_connections() -> None:
    ports = [free_port() for _ in range(150)]
    assert len(set(ports)) == len(ports)
    assert max(ports) < first_outgoing()


def test_processes_that_run_at_once_share_no_port() -> None:
    pipe = subprocess.PIPE
    running = [subprocess.Popen([sys.executable, "-c", SCRIPT], stdin=pipe, stdout=pipe, text=True) for _ in range(3)]
    try:
        lines = [process.stdout.readline() for process in running if process.stdout]
    finally:
        for process in running:
            process.communicate("\n", timeout=20)
    ports = [port for line in lines for port in map(int, line.strip("[]\n").split(","))]
    assert len(set(ports)) == 3 * 150
    assert not set(ports) & {free_port() for _ in range(150)}


def test_a_forked_process_has_ports_of_its_own() -> None:
    here = {free_port() for _ in range(150)}
    with multiprocessing.get_context("fork").Pool(1) as pool:
        there = set(pool.starmap(free_port, [()] * 150))
    assert not here & there


def test_a_port_in_use_is_left_out() -> None:
    ports = _ports.Ports()
    taken = ports.free()
    with socket.create_server(("127.0.0.1", taken)):
        round_of_the_block = {ports.free() for _ in range(198)}
        assert taken not in round_of_the_block
        assert len(round_of_the_block) == 198
    assert taken in {ports.free() for _ in range(199)}


def test_without_a_free_port_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ports, "_is_free", lambda port: False)
    with pytest.raises(OSError, match=r"no port from \d+ to \d+ is free: end the servers that hold them"):
        _ports.Ports().free()


@pytest.mark.parametrize("written", ["1024 65535", "", "none"])
def test_where_no_block_is_left_the_kernel_chooses(
    written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "ip_local_port_range"
    told.write_text(written)
    monkeypatch.setattr(_ports, "_OUTGOING", told)
    port = _ports.Ports().free()
    assert (port >= first_outgoing()) == (written == "1024 65535")
