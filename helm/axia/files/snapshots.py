"""Takes a snapshot of each collection at each Qdrant peer and deletes old ones: snapshots.py [--keep=N] PEER…

A peer of a cluster holds some shards, and its snapshot holds those; so every peer is asked. It needs the standard
library alone.
"""

import json
import os
import sys
import urllib.request
from typing import Any


def call(method: str, address: str) -> Any:
    """Calls a peer's API and returns the result of its answer."""
    headers = {"api-key": os.environ["QDRANT_API_KEY"]} if os.environ.get("QDRANT_API_KEY") else {}
    request = urllib.request.Request(address, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=3600) as response:
        return json.load(response)["result"]


def main(arguments: list[str]) -> int:
    """Goes over the peers; returns 1 if any could not be done."""
    keep = next((int(argument.partition("=")[2]) for argument in arguments if argument.startswith("--keep=")), 3)
    code = 0
    for peer in (argument for argument in arguments if not argument.startswith("--")):
        try:
            for collection in call("GET", f"{peer}/collections")["collections"]:
                place = f"{peer}/collections/{collection['name']}/snapshots"
                print(f"{place}: {call('POST', place)['name']}")
                known = sorted(call("GET", place), key=lambda snapshot: snapshot["creation_time"], reverse=True)
                for old in known[keep:]:
                    call("DELETE", f"{place}/{old['name']}")
        except (OSError, KeyError, ValueError) as error:
            print(f"{peer}: {error}", file=sys.stderr)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
