"""Boots the scoring service."""

from services.scoring.servicer import ScoringComponent
from services.scoring.settings import ScoringSettings
from services.serving.app import run
from services.serving.settings import load_settings


def main() -> None:
    """Boots the service with the settings of the environment."""
    settings = load_settings(ScoringSettings)
    run(ScoringComponent(settings), settings)
