"""The conversion of workflows with nodes of packs, held against what a real page with these packs sent.

A workflow is exact, or refused with what helps; none differs in silence.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from orchestrator.core.workflow.converter import workflow_to_api
from orchestrator.core.workflow.object_info import ObjectInfo
from orchestrator.errors import WorkflowError

from .test_converter_truth import differences, load

SETS = ("packs_fe1.58.1", "packs_fe1.32.9")
# Only the page can make these: what they need is in the browser, on its disk, or not in the file.
FOR_THE_PAGE = frozenset(
    {
        "kj getter of mode 2",
        "easy getter of mode 2",
        "kj getter without a setter",
        "vhs select latest",
        "pysssss preset text",
        "ue prompts",
        "lora_manager randomizer",
    }
)
# The older page takes a value out whose link comes from a muted node (see the table in the README, C).
OLDER = {"packs_fe1.32.9": {"kj random 2"}}
EXACT_AT_LEAST = 85  #: in each set and form


@cache
def definitions(name: str) -> ObjectInfo:
    return ObjectInfo(load(f"{name}_object_info"))


def records(name: str) -> list[dict[str, Any]]:
    return [record for record in load(name) if not record["flags"]]


def outcome(record: dict[str, Any], form: str, info: ObjectInfo) -> str | list[str]:
    """What the refusal says, else the differences."""
    try:
        made = workflow_to_api(record[f"workflow_{form}"], info)
    except WorkflowError as exc:
        return str(exc)
    # The older page sends the text that PreviewAny shows (see the table in the README, A).
    return [line for line in differences(made, record["api"]) if "(PreviewAny) preview" not in line]


@pytest.mark.parametrize("form", ["file", "frontend"])
@pytest.mark.parametrize("name", SETS)
def test_every_workflow_of_packs_is_exact_or_refused_with_what_helps(name: str, form: str) -> None:
    found = {record["name"]: outcome(record, form, definitions(name)) for record in records(name)}
    found = {title: result for title, result in found.items() if title not in OLDER.get(name, ())}

    refused = {title: said for title, said in found.items() if isinstance(said, str)}
    silent = {title: lines for title, lines in found.items() if isinstance(lines, list) and lines}
    assert not silent, "\n".join(f"{title}: {line}" for title, lines in silent.items() for line in lines)
    assert all("Export (API)" in said and "Node" in said for said in refused.values()), refused
    by_hand = {title for title in refused if " random " not in title}
    assert by_hand <= FOR_THE_PAGE
    assert len(found) - len(refused) >= EXACT_AT_LEAST
