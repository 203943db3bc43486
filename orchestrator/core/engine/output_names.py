"""How the files of one attempt are named on its peer, so that no two runs share a name."""

from __future__ import annotations

from ..models.job import Prompt


def with_output_prefix(prompt: Prompt, folder: str) -> Prompt:
    """The prompt with every output file of its own below `folder`, so that no two runs share a name."""
    changed: Prompt = {}
    for node_id, node in prompt.items():
        prefix = node.get("inputs", {}).get("filename_prefix")
        if isinstance(prefix, str):
            changed[node_id] = {**node, "inputs": {**node["inputs"], "filename_prefix": f"{folder}/{prefix}"}}
    return {**prompt, **changed}
