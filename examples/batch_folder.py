"""Detects in all images of a folder, several at a time, and writes a CSV file.

    python examples/batch_folder.py kitchen/ answers.csv

An overloaded gateway says when to come again; an image that can't be read doesn't stop the others.
"""

import csv
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import axia

AT_A_TIME = 4
TRIES = 5


def detect(client: axia.Client, path: Path) -> Sequence[object]:
    """One row: image, consensus, agreement, error."""
    for _ in range(TRIES):
        try:
            detection = client.detect(path, n=5, seed=1)
        except axia.Overloaded as busy:
            time.sleep(busy.retry_after or 1.0)
        except (axia.InvalidRequest, OSError) as error:
            return path, "", "", error
        else:
            return path, detection.consensus or "", f"{detection.agreement:.2f}", ""
    return path, "", "", f"overloaded {TRIES} times"


def main(folder: str, table: str, address: str | None = None) -> None:
    """Writes a row for each image, in name order."""
    paths = sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"})
    with axia.Client(address) as client, ThreadPoolExecutor(AT_A_TIME) as pool, open(table, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("picture", "consensus", "agreement", "error"))
        rows.writerows(pool.map(lambda path: detect(client, path), paths))


if __name__ == "__main__":
    if not sys.argv[2:]:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (axia.AxiaError, OSError) as error:
        sys.exit(f"batch_folder: {error}")
