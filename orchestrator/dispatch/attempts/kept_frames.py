"""Pictures that output nodes send over the websocket in place of files: kept as files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Set

from ...backends.events import PreviewFrame
from ...core.models.job import Prompt, RemoteFile
from ...core.workflow.object_info import ObjectInfo
from ...core.workflow.prompt import class_of

FRAMES_MAX = 2_000
BYTES_MAX = 256 << 20  #: of all frames of one attempt
_ENDINGS: Mapping[str, str] = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


class KeptFrames:
    """Of one attempt of a graph with SaveImageWebsocket or its like; `keep` stores each frame. What another
    node sends is a preview: it hands its pictures on, or tells of a file."""

    def __init__(self, prompt: Prompt, info: ObjectInfo, keep: Callable[[RemoteFile, bytes], None]) -> None:
        self._classes = {
            node_id: class_of(node)
            for node_id, node in prompt.items()
            if class_of(node) in info
            and info.is_output_node(class_of(node))
            and not info.output_types(class_of(node))
        }
        self._keep = keep
        self._files: list[RemoteFile] = []
        self._bytes = 0
        self.left_out = 0  #: frames that are too many to be kept

    @property
    def senders(self) -> Set[str]:
        """The nodes whose frames may be all that they make."""
        return self._classes.keys()

    def take(self, frame: PreviewFrame) -> None:
        name = self._classes.get(frame.node_id)
        if name is None:
            return
        if len(self._files) >= FRAMES_MAX or self._bytes + len(frame.data) > BYTES_MAX:
            self.left_out += 1
            return
        number = 1 + sum(file.node_id == frame.node_id for file in self._files)
        ending = _ENDINGS.get(frame.image_type, "bin")
        file = RemoteFile(frame.node_id, f"{name}_{number:05}_.{ending}")
        self._files.append(file)
        self._bytes += len(frame.data)
        self._keep(file, frame.data)

    def files(self, with_files: Collection[str]) -> tuple[RemoteFile, ...]:
        """Those of nodes that told of no file, in the order in which they came."""
        return tuple(file for file in self._files if file.node_id not in with_files)
