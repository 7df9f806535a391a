"""Counts calls that are being answered, and tells when there are as many as may be."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class InFlight:
    """Calls in flight.

    Args:
        most: How many there may be.
    """

    def __init__(self, most: int = sys.maxsize) -> None:
        self.most = most
        self.count = 0

    @property
    def full(self) -> bool:
        """Whether no more may be begun."""
        return self.count >= self.most

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Counts a call while what is inside continues."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def begin(self) -> None:
        """Counts a call."""
        self.count += 1

    def end(self) -> None:
        """Counts it no longer."""
        self.count -= 1
