"""Lets atheris look for images that are neither read nor refused.

    pip install atheris          # wheels for Linux; no part of the lock, because only this script needs it
    python -m scripts.fuzz_images -max_total_time=600 FOLDER_OF_NEW_FILES

Options are libFuzzer's. It begins with the demo's images and those that tests craft, and ends at the first image that
raises anything but InvalidArgument, which it writes to a file.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["services.serving.images", "PIL"]):
    from services.serving.errors import InvalidArgument
    from services.serving.images.reading import PictureLimits, read, read_header

LIMITS = PictureLimits(2**20, 1_000_000, 4_096, 250_000)


def look_at(data: bytes) -> None:
    """Reads an image as servers do."""
    for look in (read_header, read):
        try:
            look(data, LIMITS)
        except InvalidArgument:
            continue


def main() -> None:
    """Runs until a fault, or as long as the options say."""
    from tests.support.chaos.hostile_images import crafted, real_files

    with tempfile.TemporaryDirectory(prefix="axia-fuzz-") as folder:
        made = [make() for make in crafted().values()]
        for number, data in enumerate([*real_files(), *(data for data in made if len(data) < 2**17)]):
            (Path(folder) / f"{number}").write_bytes(data)
        atheris.Setup([*sys.argv, folder], look_at)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
