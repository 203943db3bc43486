"""How a file of this computer is named on a peer, and back again.

Its folder there tells its content: it is sent once, and never over somebody else's file. Its own name stays:
nodes make something of it (a caption, the prefix of what is saved).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from ..models.job import InputFile

UPLOAD_FOLDER = "remote-dispatch"
_DIGEST = 40  #: characters of a SHA-256 that name a file
_NAME_BYTES = 120  #: of a name that stays; the folder comes before it, and some systems take 260 in all
#: Names that every file system takes, and that no "[output]" at the end makes another file's.
_KEPT = re.compile(r"\w[\w ()+,.@=~#'!&-]*\.\w{1,16}")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)\.", re.IGNORECASE)


def name_on_peer(name: str, sha256: str) -> tuple[str, str]:
    """Subfolder of the peer's input folder, and the name there, for a file called `name` here."""
    digest = sha256[:_DIGEST]
    is_long = len(name.encode(errors="replace")) > _NAME_BYTES
    if _KEPT.fullmatch(name) and not _RESERVED.match(name) and not is_long:
        return f"{UPLOAD_FOLDER}/{digest}", name
    ending = PurePosixPath(name).suffix.lower()
    return UPLOAD_FOLDER, f"{digest}{ending}"


def is_of_another_machine(name: str) -> bool:
    """Whether Windows would ask another computer for it, and tell that one this user's name."""
    return name.strip().replace("\\", "/").startswith("//")


def with_own_names(text: str, sent: Iterable[InputFile]) -> str:
    """A text that may quote where these files lie on a peer, with the places that they have here."""
    for file in sent if UPLOAD_FOLDER in text else ():
        folder = PurePosixPath(file.name.replace("\\", "/")).parent.as_posix()
        own = "" if folder == "." else f"{folder}/"
        place = rf"{UPLOAD_FOLDER}[\\/]+{file.sha256[:_DIGEST]}[\\/]+"
        text = re.sub(place, lambda _, own=own: own, text)  # type: ignore[misc]
    return text
