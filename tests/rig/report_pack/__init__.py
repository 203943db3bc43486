"""Node classes that behave as nodes of popular packs do; only the peers of the tests have them."""

from __future__ import annotations

from . import loaders, machines, renamed, savers

__all__ = ["NODE_CLASS_MAPPINGS", "renamed"]
_MODULES = (loaders, machines, savers)
NODE_CLASS_MAPPINGS = {
    name: found for module in _MODULES for name, found in module.NODE_CLASS_MAPPINGS.items()
}
