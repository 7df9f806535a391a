"""Ports of the loopback interface for servers that start a moment later.

A port that the kernel chooses (bind to 0) comes from the range of outgoing connections: between the choice and the
server's own bind, any connection on the machine can take it. These ports are below that range, and each process has a
block of its own, which it holds by a socket on the block's first port.
"""

import os
import socket
from itertools import count
from pathlib import Path
from threading import Lock

_HOST = "127.0.0.1"
_FIRST = 12_000
_BLOCK = 200
_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST_OUTGOING = 32_768


class Ports:
    """The block of ports of this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._turn = count()
        self._base: int | None = None

    def free(self) -> int:
        """The next port of the block that is free; a port that the kernel chooses if no block is."""
        with self._lock:
            self._base = self._base or _hold_block()
            if self._base is None:
                return _chosen_by_kernel()
            for _ in range(_BLOCK - 1):
                port = self._base + 1 + next(self._turn) % (_BLOCK - 1)
                if _is_free(port):
                    return port
        last = self._base + _BLOCK - 1
        raise OSError(f"no port from {self._base + 1} to {last} is free: end the servers that hold them")

    def forget(self) -> None:
        """Leaves the block to the process that forked this one."""
        self._lock = Lock()  # a thread that isn't in this process may have held the other
        self._base = None


_ports = Ports()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ports.forget)


def free_port() -> int:
    """A port of 127.0.0.1 that is free; no other process that calls this receives it, and this one 199 calls later.

    Raises:
        OSError: If no port of the process's block is free.
    """
    return _ports.free()


def _hold_block() -> int | None:
    for base in range(_FIRST, _first_outgoing() - _BLOCK + 1, _BLOCK):
        with socket.socket() as holder:
            try:
                holder.bind((_HOST, base))
                holder.listen()
            except OSError:
                continue
            holder.detach()  # stays open until the process ends
            return base
    return None


def _first_outgoing() -> int:
    try:
        return int(_OUTGOING.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _FIRST_OUTGOING


def _is_free(port: int) -> bool:
    # Servers bind with SO_REUSEADDR: a closed connection that the kernel still remembers is no obstacle.
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


def _chosen_by_kernel() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
