"""The whole prompt again of one that was cut for its dispatch nodes.

A picture that the master saved carries the prompt as the master ran it: what went to peers stands in the
dispatch nodes' own inputs (see ``cut``).
"""

from __future__ import annotations

from ..models.job import Prompt
from .cut import DISPATCH_CLASS, VALUE_INPUT, Stash
from .prompt import class_of


def restored(prompt: Prompt) -> Prompt:
    """`prompt` with every stash put back where it was cut out; the same object where there is none.

    Raises:
        WorkflowError: a stash is damaged.
    """
    result = prompt
    for node_id, node in prompt.items():
        inputs = node.get("inputs") if class_of(node) == DISPATCH_CLASS else None
        stash = Stash.from_input(inputs.get(VALUE_INPUT)) if isinstance(inputs, dict) else None
        if stash is None or not isinstance(inputs, dict):
            continue
        own = {name: value for name, value in inputs.items() if name not in stash.boundaries}
        del own[VALUE_INPUT]
        if stash.link is not None:
            own[VALUE_INPUT] = [stash.link.node_id, stash.link.slot]
        result = {**stash.prompt, **result, node_id: {**node, "inputs": own}}
    return result
