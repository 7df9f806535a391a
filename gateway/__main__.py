"""Runs the gateway: python -m gateway."""

import logging

from axia.prompts import load_prompts
from gateway.backends.routes import load_routes
from gateway.server import GatewayComponent
from gateway.settings import GatewaySettings
from services.serving.app import run
from services.serving.errors import FailedPrecondition
from services.serving.logs import tell
from services.serving.settings import load_settings


def main() -> None:
    """Boots the gateway."""
    settings = load_settings(GatewaySettings)
    prompts = load_prompts()
    try:
        component = GatewayComponent(settings, load_routes(settings, prompts), prompts)
    except FailedPrecondition as error:
        tell("gateway", logging.ERROR, error.message)
        raise SystemExit(2) from None
    run(component, settings)


if __name__ == "__main__":
    main()
