"""TLS of the HTTP API.

BentoML's own options read the files of TLS once. Ours are read again when they change.
"""

import ssl

import uvicorn


def encrypt(context: ssl.SSLContext) -> None:
    """Has uvicorn's servers of this process speak TLS."""
    usual = uvicorn.Config.load

    def load(config: uvicorn.Config) -> None:
        usual(config)
        config.ssl = context

    uvicorn.Config.load = load  # type: ignore[method-assign, assignment]  # BentoML makes the configuration and offers no hook
