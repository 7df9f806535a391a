"""BentoML's command line, without an error that its process manager logs while it ends: python -m gateway.http.serve

circus looks after its processes several times a second. While it ends, which takes as long as the calls in flight, it
refuses its own look with ConflictError, which tornado logs with a traceback. Nothing is wrong then.
"""

import logging

from circus.exc import ConflictError


def is_told(record: logging.LogRecord) -> bool:
    """Whether a log record is about more than circus refusing its own look."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, ConflictError)


if __name__ == "__main__":
    from bentoml_cli.cli import cli

    logging.getLogger("tornado.application").addFilter(is_told)
    cli()
