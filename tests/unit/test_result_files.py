from __future__ import annotations

from orchestrator.core.models.job import RemoteFile
from orchestrator.core.workflow.result_files import files_of, texts_of

OUTPUTS = {
    "9": {
        "images": [
            {"filename": "b.png", "subfolder": "x", "type": "output"},
            {"filename": 5, "type": "output"},
        ]
    },
    "2": {"gifs": [{"filename": "a.mp4", "type": "output"}], "text": ["hello", 3], "animated": [False]},
}


def test_files_come_in_the_order_of_the_prompt_whatever_they_are_listed_under() -> None:
    assert files_of(OUTPUTS, {"2": {}, "9": {}}) == (
        RemoteFile("2", "a.mp4", "", "output"),
        RemoteFile("9", "b.png", "x", "output"),
    )
    assert files_of(OUTPUTS, {"2": {}, "9": {}}, only="9") == (RemoteFile("9", "b.png", "x", "output"),)


def test_outputs_of_nodes_we_did_not_send_are_not_taken() -> None:
    assert files_of(OUTPUTS, {"2": {}}) == (RemoteFile("2", "a.mp4", "", "output"),)


def test_only_texts_are_texts() -> None:
    assert texts_of(OUTPUTS, {"2": {}}) == ("hello",)
