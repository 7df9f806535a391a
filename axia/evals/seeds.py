"""Seeds of completions: each is a function of the run's seed and of what is asked, so that a run can be repeated."""

import hashlib

MAX_SEED = 2**53 - 1
"""The largest seed that axia takes."""

_SMALL_BITS = 31
"""Other providers take seeds of 32 bits with a sign, some of them."""


def sample_seed(base: int, sample_id: str, epoch: int, turn: str = "", *, small: bool = False) -> int:
    """The seed of one completion of a sample.

    The sample's id is in it, not the picture, so that two samples with the same picture draw separately.

    Args:
        base: The run's seed.
        sample_id: Id of the sample.
        epoch: Number of the epoch, from 1.
        turn: What is asked, where a sample asks several things.
        small: Whether it must fit a signed integer of 32 bits.
    """
    digest = hashlib.sha256("\x1f".join((str(base), sample_id, str(epoch), turn)).encode()).digest()
    whole = int.from_bytes(digest[:8], "big")
    return whole >> (64 - (_SMALL_BITS if small else 53))


def completion_seed(base: int, index: int, picture_sha256: str) -> int:
    """The seed of one of several choices, as the gateway spreads a request's seed over its completions."""
    digest = hashlib.sha256(f"{base}:{index}:{picture_sha256}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 11
