"""Watches a camera and says what needs attention, until Ctrl-C.

    python examples/camera_loop.py 0              # the first camera; needs pip install opencv-python-headless
    python examples/camera_loop.py kitchen/       # images of a folder in its place, two a second

The newest frame wins: while one is being answered, older ones are dropped and not queued.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import axia

PERIOD_S = 0.5
ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}


def frames(source: str) -> Iterator[Path | bytes]:
    """Frames of a camera as JPEG, or images of a folder, each half a second after the one before."""
    if not source.isdecimal():
        for path in sorted(path for path in Path(source).iterdir() if path.suffix.lower() in ENDINGS):
            yield path
            time.sleep(PERIOD_S)
        return
    import cv2

    camera = cv2.VideoCapture(int(source))
    try:
        while True:
            fine, pixels = camera.read()  # waits for the camera
            if not fine:
                raise OSError(f"camera {source} gives no frames: see whether it is connected")
            yield cv2.imencode(".jpg", pixels)[1].tobytes()
            time.sleep(PERIOD_S)
    finally:
        camera.release()


def main(source: str, address: str | None = None) -> None:
    """Prints a line for each frame that has an answer."""
    with axia.Client(address) as client:
        for event in client.watch(frames(source), n=1, temperature=0):
            match event:
                case axia.FrameDetection(frame_id=number, detection=detection):
                    print(f"frame {number}: {detection.consensus or 'nothing certain'}", flush=True)
                case axia.FrameFailed(frame_id=number, error=error):
                    print(f"frame {number}: {error.message}", file=sys.stderr)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:] or ["0"])
    except KeyboardInterrupt:
        pass
    except (axia.AxiaError, OSError) as error:
        sys.exit(f"camera_loop: {error}")
