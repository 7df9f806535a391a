"""Ports of the loopback interface for servers that start a moment later.

A port that the kernel chooses (bind to 0) comes from the range of outgoing connections: between the choice and the
server's own bind, any connection on the machine can take it. These ports are outside that range, and each process has a
block of its own, which it holds by a socket on the block's first port.
"""

import os
import socket
from collections import deque
from itertools import count
from pathlib import Path
from threading import Lock

_HOST = "127.0.0.1"
_FIRST, _END = 12_000, 65_000
_BLOCK = 200
_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
_USUAL_OUTGOING = (32_768, 60_999)


class Ports:
    """The block of ports of this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._turn = count()
        self._held: tuple[int, int] | None = None
        self._given: deque[int] = deque(maxlen=_BLOCK)

    def free(self) -> int:
        """The next port of the block that is free; a port that the kernel chooses if no block is."""
        with self._lock:
            self._held = self._held or _hold_block()
            if self._held is None:
                return self._chosen_by_kernel()
            first = self._held[0] + 1
            for _ in range(_BLOCK - 1):
                port = first + next(self._turn) % (_BLOCK - 1)
                if _is_free(port):
                    return port
        raise OSError(f"no port from {first} to {first + _BLOCK - 2} is free: end the servers that hold them")

    def forget(self) -> None:
        """Leaves the block to the process that forked this one."""
        self._lock = Lock()  # a thread that isn't in this process may have held the other
        if self._held is not None:
            os.close(self._held[1])
            self._held = None

    def _chosen_by_kernel(self) -> int:
        for _ in range(_BLOCK):
            with socket.socket() as probe:
                probe.bind((_HOST, 0))
                port = int(probe.getsockname()[1])
            if port not in self._given:
                break
        self._given.append(port)
        return port


_ports = Ports()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ports.forget)


def free_port() -> int:
    """A port of 127.0.0.1 that is free.

    No other process that calls this gets the port while this process runs, and no outgoing connection takes it. A later
    call of this process may return it again, at the earliest when it has returned all other free ports of 199. Where
    all ports are for outgoing connections, the kernel chooses, and a connection can take the port.

    Raises:
        OSError: If no port of the process's block is free.
    """
    return _ports.free()


def _hold_block() -> tuple[int, int] | None:
    """The first port of a block and the descriptor that holds it."""
    low, high = _outgoing()
    for base in range(_FIRST, _END, _BLOCK):
        if base <= high and base + _BLOCK > low:
            continue
        with socket.socket() as holder:
            try:
                holder.bind((_HOST, base))
                holder.listen()
            except OSError:
                continue
            return base, holder.detach()  # stays open until the process ends
    return None


def _outgoing() -> tuple[int, int]:
    """The first and the last port that the kernel chooses for connections."""
    try:
        low, high = map(int, _OUTGOING.read_text().split())
    except (OSError, ValueError):
        return _USUAL_OUTGOING
    return low, high


def _is_free(port: int) -> bool:
    # Servers bind with SO_REUSEADDR: a closed connection that the kernel still remembers is no obstacle.
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True
