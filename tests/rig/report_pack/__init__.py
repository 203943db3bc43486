"""Node classes that behave as nodes of popular packs do; only the peers of the tests have them."""

from __future__ import annotations

from . import machines, savers

NODE_CLASS_MAPPINGS = {**savers.NODE_CLASS_MAPPINGS, **machines.NODE_CLASS_MAPPINGS}
