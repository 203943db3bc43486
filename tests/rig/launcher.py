"""Runs ComfyUI's main.py beside a CPU build of torch. Arguments: the rig's pid, the tree, main.py's own."""

from __future__ import annotations

import ctypes
import ipaddress
import os
import runpy
import socket
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def define_missing_operators() -> None:
    """torchvision built for CUDA expects two operators that its native part would bring."""
    import torch  # type: ignore[import-not-found,unused-ignore]

    found = find_spec("torchvision")
    if found is None or found.origin is None:
        return
    for native in Path(found.origin).parent.glob("_C.*"):
        try:
            torch.ops.load_library(native)
            return
        except OSError:
            continue
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept.append(library)


_kept: list[object] = []  # an operator lives as long as its library object


def end_with(parent: int) -> None:
    """No ComfyUI stays behind when the rig was killed and could not end it."""

    def watch() -> None:
        if sys.platform == "win32":
            synchronize, forever = 0x00100000, 0xFFFFFFFF
            handle = ctypes.windll.kernel32.OpenProcess(synchronize, False, parent)
            ctypes.windll.kernel32.WaitForSingleObject(handle, forever)
        else:
            while os.getppid() == parent:
                time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, name="end with the rig", daemon=True).start()


def give_memory_back(every_s: float) -> None:
    """What was freed goes back to the system: glibc keeps it for the next large answer, in steps that look as
    if the process held ever more. Linux with glibc only."""
    trim = ctypes.CDLL(None).malloc_trim

    def often() -> None:
        while True:
            time.sleep(every_s)
            trim(0)

    threading.Thread(target=often, name="give memory back", daemon=True).start()


def ask_no_name_server() -> None:
    """Names other than this computer's own are unknown at once: ComfyUI looks up the host that a page names
    while its loop waits, for seconds each time where the answer of a name server is lost."""
    look_up, own = socket.getaddrinfo, {"", "localhost", socket.gethostname().lower()}

    def getaddrinfo(host: Any, *arguments: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and name.lower() not in own and not is_address(name):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(host, *arguments, **named)

    socket.getaddrinfo = getaddrinfo


def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    ask_no_name_server()
    if "RIG_TRIM_S" in os.environ:
        give_memory_back(float(os.environ["RIG_TRIM_S"]))
    define_missing_operators()
    tree = Path(sys.argv[2]).resolve()
    # As `python main.py` would have it; without the folder of this file.
    sys.path[0] = str(tree)
    sys.argv = [str(tree / "main.py"), *sys.argv[3:]]
    os.chdir(tree)
    runpy.run_path(str(tree / "main.py"), run_name="__main__")
