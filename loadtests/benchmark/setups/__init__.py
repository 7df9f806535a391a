"""The servers that rows of the benchmark need, and the sides that they make.

A setup is started, measured and ended before the next one, so that only one set of models is in memory at a time.

    base       what every setup is
    engine     one inference server and its rivals
    replicas   two of them behind one gateway, and routers in front of two of vLLM's servers
    cores      scoring on a processor core of its own
    searching  the retrieval service with a large index, and other ways to search the same vectors
"""

from loadtests.benchmark.rows import SetupName
from loadtests.benchmark.setups.base import Setup


def setup_named(name: SetupName) -> type[Setup]:
    """The kind of setup of this name. Imports what it needs, which a machine may lack that measures other rows."""
    if name == "searching":
        from loadtests.benchmark.setups.searching import Searching

        return Searching
    if name == "own-cores":
        from loadtests.benchmark.setups.cores import OwnCores

        return OwnCores
    if name == "engine":
        from loadtests.benchmark.setups.engine import OneEngine

        return OneEngine
    from loadtests.benchmark.setups.replicas import SmallCaches, TwoReplicas

    return SmallCaches if name == "small-caches" else TwoReplicas
