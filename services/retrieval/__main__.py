"""Runs the retrieval service: python -m services.retrieval; or an operator's command, see --help."""

import os
import sys

# numpy's own threads, which must be counted before it is imported: comparing a query with a few thousand vectors takes
# one thread less time than waking a second one beside the encoder's.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from services.serving.packages import require_packages

if __name__ == "__main__":
    serving = not sys.argv[1:]  # the commands of operators encode nothing
    required = ("numpy", "fsspec", "qdrant_client", "qdrant_edge", *(("open_clip", "torch") if serving else ()))
    require_packages("retrieval", "cpu", *required)

from services.retrieval.server import main

if __name__ == "__main__":
    main(sys.argv[1:])
