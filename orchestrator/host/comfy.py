"""What the engine needs of the ComfyUI it lives in."""

from __future__ import annotations

import copy
import importlib
import logging
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import folder_paths  # type: ignore[import-not-found]

from ..core.prompts.input_names import is_of_another_machine
from ..core.workflow import boundaries
from ..dispatch.attempts.transport import Folders

log = logging.getLogger(__name__)

# ComfyUI's modules; a type checker would take our own packages of such names.
comfy_nodes: Any = importlib.import_module("nodes")
execution: Any = importlib.import_module("execution")

DATA_FOLDER = "remote_dispatch"


def data_dir() -> Path:
    """Our folder among those that ComfyUI serves to nobody."""
    return Path(folder_paths.get_system_user_directory(DATA_FOLDER))


def web_name() -> str:
    """Under which name ComfyUI serves our ``web`` folder, at /extensions/<name>/. Looks at the disk."""
    ours = Path(__file__).resolve().parents[2] / "web"
    served: Mapping[str, str] = comfy_nodes.EXTENSION_WEB_DIRS
    return next((name for name, folder in served.items() if Path(folder).resolve() == ours), ours.parent.name)


def folders() -> Folders:
    return Folders(
        output=Path(folder_paths.get_output_directory()),
        temp=temp_dir(),
        resolve_input=resolve_input,
        kind_here=kind_here,
    )


def temp_dir() -> Path:
    return Path(folder_paths.get_temp_directory())


def resolve_input(value: str) -> Path | None:
    """The file that an input's value names, as LoadImage reads it ("a.png", "sub/a.png [output]").

    None when there is none, or when it would lie outside ComfyUI's input, output and temp folders.
    """
    name, base = folder_paths.annotated_filepath(value)
    if is_of_another_machine(name):
        return None
    roots = [folder_paths.get_input_directory(), folder_paths.get_output_directory()]
    roots.append(folder_paths.get_temp_directory())
    try:
        path = Path(base or roots[0], name.replace("\\", "/")).resolve()
        inside = any(path.is_relative_to(Path(root).resolve()) for root in roots)
        return path if inside and path.is_file() else None
    except (OSError, ValueError):
        return None  # a name no file system takes


def kind_here(value: str) -> str:
    """Whether a name or path is a "file" or a "folder" of this computer; "" for neither.

    Nodes read such texts from where ComfyUI was started, or from its input folder.
    """
    if is_of_another_machine(value) or "\0" in value:
        return ""
    bases = (Path.cwd(), Path(folder_paths.base_path), Path(folder_paths.get_input_directory()))
    for path in (base / value.replace("\\", "/").strip() for base in bases):
        try:
            if path.is_dir():
                return "folder"
            if path.is_file():
                return "file"
        except (OSError, ValueError):
            continue
    return ""


def own_models() -> frozenset[str]:
    """Names of all model files of this computer, below the folder of their kind."""
    kinds = tuple(folder_paths.folder_names_and_paths)
    return frozenset(name for kind in kinds for name in folder_paths.get_filename_list(kind))


def is_output_class(class_type: str) -> bool:
    """Whether the master has this class and it is an output node."""
    return bool(getattr(_class(class_type), "OUTPUT_NODE", False))


def prompt_id_of(body: Mapping[str, Any]) -> str | None:
    """The id that this host would give the prompt of a POST; None where it would refuse the one in there.

    ComfyUI 0.3.75 takes anything as an id; newer ones have a check of their own, which is asked here.
    """
    check = getattr(_jobs_module(), "validate_job_id", None)
    if check is None:
        return str(body.get("prompt_id", uuid.uuid4()))
    if body.get("prompt_id") is None:
        return str(uuid.uuid4())
    try:
        return str(check(body["prompt_id"]))
    except ValueError:
        return None


async def outputs_here(prompt: Mapping[str, Any], targets: Sequence[str] = ()) -> tuple[str, ...]:
    """The output nodes that this host would run, if it would run all of them, or all `targets`; else none.
    Like a POST /prompt that asks the classes' own checks, and nothing runs."""
    try:
        # Validation writes into it.
        found = await execution.validate_prompt(
            str(uuid.uuid4()), copy.deepcopy(dict(prompt)), list(targets) or None
        )
    except Exception:  # a pack's own code
        log.exception("ComfyUI could not tell whether it would run a prompt")
        return ()
    is_valid, _, outputs, node_errors = found
    return tuple(outputs) if is_valid and not node_errors else ()


def is_canonical_id(prompt_id: str) -> bool:
    """Whether every peer takes it: newer ones want a UUID as Python writes it."""
    try:
        return str(uuid.UUID(prompt_id)) == prompt_id
    except ValueError:
        return False


def _jobs_module() -> object:
    """Of newer hosts, whose server has it loaded. Importing it would search every folder for each prompt,
    where there is none."""
    return sys.modules.get("comfy_execution.jobs")


def module_of(class_type: str) -> str:
    """Which module the master has a class from, as its /object_info tells; "" where it has none."""
    known = _class(class_type)
    return "" if known is None else str(getattr(known, "RELATIVE_PYTHON_MODULE", "nodes"))


def has_class(class_type: str) -> bool:
    return class_type in comfy_nodes.NODE_CLASS_MAPPINGS


def is_partner_class(class_type: str) -> bool:
    """Whether the master has this class and it calls a paid service with an account."""
    return bool(getattr(_class(class_type), "API_NODE", False))


def output_type(class_type: str, slot: int) -> str:
    """The declared type of an output of a class of the master; "*" where nothing is known of it."""
    types = getattr(_class(class_type), "RETURN_TYPES", ())
    known = isinstance(types, (list, tuple)) and 0 <= slot < len(types) and isinstance(types[slot], str)
    return str(types[slot]) if known else "*"


def gives_list(class_type: str, slot: int) -> bool:
    """Whether an output of a class of the master is a list."""
    flags = getattr(_class(class_type), "OUTPUT_IS_LIST", None) or ()
    return isinstance(flags, (list, tuple)) and 0 <= slot < len(flags) and bool(flags[slot])


def takes_list(class_type: str) -> bool:
    """Whether the master has this class and it takes a list as it is, not item by item."""
    return bool(getattr(_class(class_type), "INPUT_IS_LIST", False))


def loop_side(class_type: str) -> str:
    """Which end of a native loop the class is, see ``boundaries.loop_side``. Newer hosts have it declared."""
    get_schema = getattr(_class(class_type), "GET_SCHEMA", None)
    try:
        declared = getattr(get_schema(), "loop_boundary", None) if callable(get_schema) else None
    except Exception:  # a pack's own code
        declared = None
    return str(declared) if declared else boundaries.loop_side(class_type)


def _class(class_type: str) -> object:
    classes: Mapping[str, object] = comfy_nodes.NODE_CLASS_MAPPINGS
    return classes.get(class_type)
