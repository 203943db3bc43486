"""Our lines in ComfyUI's log say whose they are: ComfyUI prints no logger's name."""

from __future__ import annotations

import copy
import logging

NAME = "Remote Dispatch"
_ENGINE = __name__.rpartition(".host")[0]
_OURS = (_ENGINE, f"{_ENGINE.rpartition('orchestrator')[0]}nodes")


class _Named(logging.Handler):
    """Hands each line on to the host's own handlers, with our name before it."""

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        named = copy.copy(record)
        named.msg, named.args = said if said.startswith(NAME) else f"{NAME}: {said}", None
        logging.getLogger().handle(named)


def name_log_lines() -> None:
    """From now on; harmless when it was called before."""
    for name in _OURS:
        logger = logging.getLogger(name)
        if not any(isinstance(handler, _Named) for handler in logger.handlers):
            logger.addHandler(_Named())
            logger.propagate = False
