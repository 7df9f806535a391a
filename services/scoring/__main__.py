"""Runs the scoring service: python -m services.scoring."""

from services.scoring.server import main

main()
