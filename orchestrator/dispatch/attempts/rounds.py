"""Prompts that queue themselves again on their peer, a batch at a time: all rounds belong to one attempt.

Seen: VHS *Meta Batch Manager* puts the running prompt, with one input changed, into its server's queue under
an id of its own making. The rest of the work, and the film at its end, are under that id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...backends.client import ComfyUIClient
from ...backends.events import EventStream
from ...backends.wire import QueuedPrompt
from ...core.models.job import Prompt
from ...core.workflow.prompt import class_of
from ...errors import AnswerTooLargeError
from ..sent_prompts import SentPrompts

ROUNDS_MAX = 10_000
#: Entries of a peer's history that are looked through for rounds that nobody heard of; so few where more are
#: too large to be taken, with the workflows in them.
_RECENT, _RECENT_FEW = 64, 8


def tag_of(prompt_id: str) -> str:
    """What marks everything of one attempt on its peer."""
    return f"rd-{prompt_id[:8]}"


class Rounds:
    """The rounds of one prompt, by their ids; the first is the one that was posted.

    Another is a prompt with our client id that we did not post, of the same nodes. Where ours has the mark of
    its attempt (`tag`) in an input, that one has it there too.
    """

    def __init__(
        self, client: ComfyUIClient, events: EventStream, sent: SentPrompts, prompt_id: str, tag: str
    ) -> None:
        self.ids = [prompt_id]
        self.prompt: Prompt = {}  #: as it was sent; empty while that is not known
        self._client = client
        self._events = events
        self._sent = sent
        self._tag = tag
        self._cuts_before = events.cuts

    @property
    def client_id(self) -> str:
        """Under which its further rounds are queued."""
        return self._events.client_id

    def note(self, prompts: Iterable[QueuedPrompt]) -> None:
        """Take those of them that are further rounds for ours, in the order in which they run."""
        for prompt in prompts:
            if len(self.ids) <= ROUNDS_MAX and self._is_round(prompt):
                self.ids.append(prompt.prompt_id)
                self._sent.append(prompt.prompt_id, self._sent.peer_of(self.ids[0]))

    async def look(self, *, may_have_missed: bool) -> None:
        """Note the rounds that are known by now: first those that were heard of, as they have run already,
        then those in the peer's queue. `may_have_missed`: some may have run with nobody listening.

        Raises:
            PeerError
        """
        queued = await self._client.queued({self.client_id})
        ended: dict[str, Any] = {}
        for prompt_id in tuple(self._events.strangers):
            if prompt_id not in self._sent and all(prompt_id != each.prompt_id for each in queued):
                ended[prompt_id] = await self._client.history(prompt_id, with_prompt=True)
        if may_have_missed or self._events.cuts > self._cuts_before or not self._events.is_connected:
            ended.update(_after(self.ids[0], await self._recent()))
        self.note(_prompts_of(ended))
        self.note(queued)

    async def _recent(self) -> Mapping[str, Any]:
        try:
            return await self._client.recent_history(_RECENT)
        except AnswerTooLargeError:
            return await self._client.recent_history(_RECENT_FEW)

    def _is_round(self, other: QueuedPrompt) -> bool:
        is_unknown = other.prompt_id not in self._sent and other.prompt_id not in self.ids
        if not is_unknown or other.client_id != self._events.client_id:
            return False
        if not self.prompt:
            return any(self._tag in text for _, text in _texts(other.graph))
        classes, theirs = (
            {node_id: class_of(node) for node_id, node in graph.items()}
            for graph in (self.prompt, other.graph)
        )
        marked = {place: text for place, text in _texts(self.prompt) if self._tag in text}
        there = dict(_texts(other.graph)) if marked else {}
        return classes == theirs and all(there.get(place) == text for place, text in marked.items())


def rounds_of(prompt_id: str, client: ComfyUIClient, events: EventStream, sent: SentPrompts) -> Rounds:
    return Rounds(client, events, sent, prompt_id, tag_of(prompt_id))


def _after(prompt_id: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    """Of a history, the oldest first, what ended after this prompt: an earlier process may have run the same.
    All of it where the prompt is too old to be in there."""
    names = list(entries)
    first = names.index(prompt_id) + 1 if prompt_id in entries else 0
    return {name: entries[name] for name in names[first:]}


def _prompts_of(entries: Mapping[str, Any]) -> Iterator[QueuedPrompt]:
    """The prompts that these entries of a history are about, in the order in which they were queued."""
    for prompt_id, entry in entries.items():
        prompt = QueuedPrompt.read(entry.get("prompt")) if isinstance(entry, Mapping) else None
        if prompt is not None and prompt.prompt_id == prompt_id:
            yield prompt


def _texts(graph: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], str]]:
    """Every text among the inputs, with its node and name."""
    for node_id, node in graph.items():
        inputs = node.get("inputs") if isinstance(node, Mapping) else None
        for name, value in inputs.items() if isinstance(inputs, Mapping) else ():
            if isinstance(value, str):
                yield (node_id, str(name)), value
