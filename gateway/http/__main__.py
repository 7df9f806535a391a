"""Runs the HTTP face: python -m gateway.http."""

import os
import sys

SERVICE = "gateway.http.service:HttpFaceService"


def main() -> None:
    """Becomes BentoML's server, as `bentoml serve` would start it."""
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")  # the suite sends nothing home
    os.execv(sys.executable, [sys.executable, "-m", "bentoml", "serve", SERVICE])  # noqa: S606 - no shell is wanted


main()
