"""Whether any peer could run a prompt, before it is accepted; asked of the peers themselves before a "no"."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from ..backends.manager import BackendManager
from ..backends.second_look import SecondLook
from ..background import done_for_each
from ..core.models.backend import BackendConfig, Health
from ..core.models.job import Prompt
from ..core.prompts.requirements import Doubt, only_here
from ..core.prompts.validation import Validation, agree, validate
from ..core.workflow.object_info import ObjectInfo
from .attempts.transport import Folders
from .queue.prompt_variants import is_quick_to_read

_BEING_READ = "its list of nodes is still being read"


@dataclass
class _Answers:
    """By name: a validation, or why there is none. ``doubts``: by id, what a "no" was read from.
    ``is_settling``: a peer that is up has not told its nodes yet."""

    by_name: dict[str, Validation | str] = field(default_factory=dict)
    doubts: dict[str, Doubt] = field(default_factory=dict)
    is_settling: bool = False


class Preflight:
    def __init__(
        self,
        manager: BackendManager,
        folders: Folders,
        second_look: SecondLook,
    ) -> None:
        self._manager = manager
        self._resolve_input, self._kind_here = folders.resolve_input, folders.kind_here
        self._second_look = second_look

    async def check(
        self, prompt: Prompt, targets: Sequence[str] | None, *, peer: str = "", tags: Sequence[str] = ()
    ) -> Validation:
        """What the peers that `peer` and `tags` allow would say to the prompt. A "no", also one to a part of
        it, was given by the peers just now; where one of them did not answer, there is none yet: no error and
        no outputs, and the prompt may wait."""
        found = await self._answers(prompt, targets, peer, tags)
        agreed = agree(found.by_name)
        if agreed.error is None and not agreed.node_errors:
            return agreed
        silent = await self._second_look.ask(found.doubts)
        found = await self._answers(prompt, targets, peer, tags)
        agreed = agree(found.by_name)
        if agreed.error is not None and (silent or found.is_settling):
            return Validation()
        return await asyncio.to_thread(self._with_places, agreed)

    async def _answers(
        self, prompt: Prompt, targets: Sequence[str] | None, peer: str, tags: Sequence[str]
    ) -> _Answers:
        answers = _Answers()
        asked: dict[str, tuple[str, ObjectInfo]] = {}
        for config in self._manager.all():
            if reason := self._is_out(config, peer, tags):
                answers.by_name[config.name] = reason
                continue
            info = self._manager.get_object_info(config.id)
            if info is None:
                status = self._manager.get_status(config.id)
                answers.by_name[config.name] = status.reason or _BEING_READ
                answers.is_settling |= status.health in (Health.UNKNOWN, Health.UP)
                continue
            asked[config.id] = config.name, info
        known = await self._validated(prompt, {info for _, info in asked.values()}, targets)
        for backend_id, (name, info) in asked.items():
            answers.by_name[name] = known[info]
            if known[info].rests_on:
                answers.doubts[backend_id] = known[info].rests_on
        return answers

    async def _validated(
        self, prompt: Prompt, infos: Collection[ObjectInfo], targets: Sequence[str] | None
    ) -> dict[ObjectInfo, Validation]:
        """What each of these lists says. The event loop waits for no disk: where a file has to be looked
        for, all is done in a thread."""
        lists, looked_for = tuple(infos), list[str]()

        def note(value: str) -> bool:
            looked_for.append(value)
            return False

        def without_files(info: ObjectInfo) -> Validation:
            return validate(prompt, info, targets, note)

        def with_files(info: ObjectInfo) -> Validation:
            return validate(prompt, info, targets, self._has_file)

        found = await done_for_each(without_files, lists, in_place=True) if is_quick_to_read(prompt) else []
        if looked_for or not found:
            found = await done_for_each(with_files, lists, in_place=False)
        return dict(zip(lists, found, strict=True))

    def _is_out(self, config: BackendConfig, peer: str, tags: Sequence[str]) -> str:
        """Why the request itself, or its owner, keeps the prompt from this peer; "" when neither does."""
        if peer and peer not in (config.id, config.name):
            pinned = self._manager.find(peer)
            return f"the prompt is pinned to {pinned.name if pinned else peer}"
        if not set(tags) <= set(config.tags):
            return f"it has no tag {', '.join(sorted(set(tags) - set(config.tags)))}"
        return "" if config.enabled else "it is switched off in the Fleet tab"

    def _with_places(self, refused: Validation) -> Validation:
        """With a line for each folder that no peer's list has, and that is one of this computer."""
        if refused.error is None:
            return refused
        lines = [refused.error["details"]]
        for node_id, node in refused.node_errors.items():
            for error in node["errors"]:
                value = error["extra_info"].get("received_value")
                kind = self._kind_here(value) if error["type"] == "value_not_in_list" and value else ""
                if kind == "folder":
                    lines.append(only_here(value, kind, node_id, error["extra_info"]["input_name"]))
        return replace(refused, error={**refused.error, "details": "\n".join(lines)})

    def _has_file(self, value: str) -> bool:
        return self._resolve_input(value) is not None
