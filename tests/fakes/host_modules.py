"""Stand-ins for the modules of ComfyUI that the plugin imports: there for as long as a fake host is.

They are the same objects for every host, because the plugin's own modules bind them once, when they are first
imported.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

_EXECUTION, _NODES, _FOLDERS, _JOBS = map(
    ModuleType, ("execution", "nodes", "folder_paths", "comfy_execution.jobs")
)


@contextmanager
def comfyui_modules(
    home: Path,
    *,
    classes: Mapping[str, type],
    validate_prompt: Callable[..., Any],
    interrupt: Callable[[], None],
    checks_ids: bool,
) -> Iterator[None]:
    """`home`: see FakeHost. `checks_ids`: with the module that 0.33 checks prompt ids in."""
    vars(_EXECUTION).update(validate_prompt=validate_prompt)
    vars(_NODES).update(NODE_CLASS_MAPPINGS=classes, interrupt_processing=interrupt)
    vars(_FOLDERS).update(_folder_paths(home))
    vars(_JOBS).update(validate_job_id=checked_id)
    here = {module.__name__: module for module in (_EXECUTION, _NODES, _FOLDERS)}
    if checks_ids:
        here[_JOBS.__name__] = _JOBS
    before = {name: sys.modules[name] for name in here if name in sys.modules}
    sys.modules.update(here)
    try:
        yield
    finally:
        for name in here:
            del sys.modules[name]
        sys.modules.update(before)


def _folder_paths(home: Path) -> dict[str, Any]:
    for name in ("input", "output", "temp", "user"):
        (home / name).mkdir(parents=True, exist_ok=True)
    return {
        "base_path": str(home),
        "folder_names_and_paths": {},
        "get_filename_list": lambda kind: [],
        "get_input_directory": lambda: str(home / "input"),
        "get_output_directory": lambda: str(home / "output"),
        "get_temp_directory": lambda: str(home / "temp"),
        "get_system_user_directory": lambda name: str(home / "user" / f"__{name}"),
        "annotated_filepath": lambda name: (name, None),
    }


def classes_of(object_info: Mapping[str, Any]) -> dict[str, Any]:
    """Node classes as ComfyUI keeps them, as /object_info tells of them."""
    return {
        name: type(
            name,
            (),
            {
                "OUTPUT_NODE": bool(info.get("output_node")),
                "API_NODE": bool(info.get("api_node")),
                "RETURN_TYPES": tuple(info.get("output", ())),
            },
        )
        for name, info in object_info.items()
    }


def checked_id(value: object) -> str:
    """Raises ValueError unless it is a UUID as Python writes it."""
    if not isinstance(value, str) or str(uuid.UUID(value)) != value:
        raise ValueError("prompt_id must be a UUID")
    return value
