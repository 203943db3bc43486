"""What others do, written from the descriptions of their policies. None of them learns how long runs take.

Whatever they lack elsewhere is granted to them here: they know which peers can run a job, see which are down,
and get lost jobs back. Two families: some give a job to a peer as it arrives and never change their mind,
others keep it until a peer has room.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from .trace import Job
from .world import Station, World

OVER_QUEUE = 1  #: SwarmUI gives a backend so many more than the one that runs
PRESSURE_S = 1.5  #: SwarmUI changes a loaded model only for one that waits so long, or alone


class Rival:
    """Jobs wait in ``line`` until the policy gives them to a peer; models are what it gave a peer itself."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.line: deque[Job] = deque()
        self.models: dict[str, dict[str, None]] = {peer: {} for peer in world.stations}

    def arrived(self, job: Job) -> None:
        self.line.append(job)

    def begun(self, job: Job, peer: str) -> None:
        pass

    def ended(self, job: Job, peer: str, total_s: float, head_s: float) -> None:
        pass

    def came_back(self, job: Job, peer: str) -> None:
        self.line.appendleft(job)

    def peer_changed(self, peer: str) -> None:
        if not self.world.stations[peer].known_up:
            self.models[peer].clear()

    def foreign_ended(self, peer: str, run_s: float) -> None:
        pass

    def look(self) -> None:
        raise NotImplementedError

    def up(self, job: Job) -> list[Station]:
        return [station for station in self.world.eligible(job) if station.known_up]

    def send(self, job: Job, station: Station) -> None:
        """Remembers what the peer will have in memory, by the sizes of the files."""
        models = self.models[station.peer.id]
        for file in job.files:
            models.pop(file, None)
            models[file] = None
        while len(models) > len(job.files) and sum(map(self._gb, models)) > station.peer.vram_gb:
            del models[next(iter(models))]
        self.world.send(job, station.peer.id)

    def is_warm(self, job: Job, station: Station) -> bool:
        return all(file in self.models[station.peer.id] for file in job.files)

    def free_gb(self, station: Station) -> float:
        return station.peer.vram_gb - sum(map(self._gb, self.models[station.peer.id]))

    def _gb(self, file: str) -> float:
        return self.world.trace.sizes_gb.get(file, 0.0)


class AtOnce(Rival):
    """Gives each job to a peer as it arrives."""

    def look(self) -> None:
        waiting, self.line = self.line, deque()
        for job in waiting:
            stations = self.up(job)
            if stations:
                self.send(job, self.choose(job, stations))
            else:
                self.line.append(job)

    def choose(self, job: Job, stations: list[Station]) -> Station:
        raise NotImplementedError


class RoundRobin(AtOnce):
    """Equal shares, in turns."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._turn = dict.fromkeys(world.stations, 0)
        self._count = 0

    def choose(self, job: Job, stations: list[Station]) -> Station:
        self._count += 1
        station = min(stations, key=lambda s: self._turn[s.peer.id])
        self._turn[station.peer.id] = self._count
        return station


class LeastQueue(AtOnce):
    """The shortest queue, other people's prompts included."""

    def choose(self, job: Job, stations: list[Station]) -> Station:
        return min(stations, key=lambda s: len(s.queue) + (s.running is not None))


class LeastQueueVram(AtOnce):
    """The shortest queue, then the most free memory."""

    def choose(self, job: Job, stations: list[Station]) -> Station:
        return min(stations, key=lambda s: (len(s.queue) + (s.running is not None), -self.free_gb(s)))


class WarmIdle(AtOnce):
    """Warm and idle, else the smallest empty one that fits, else warm and busy, else the largest."""

    def choose(self, job: Job, stations: list[Station]) -> Station:
        idle = [s for s in stations if not s.ours and not s.foreign]
        warm_idle = [s for s in idle if self.is_warm(job, s)]
        if warm_idle:
            return warm_idle[0]
        need = sum(map(self._gb, job.files))
        empty = [s for s in idle if not self.models[s.peer.id] and s.peer.vram_gb >= need]
        if empty:
            return min(empty, key=lambda s: s.peer.vram_gb)
        warm = [s for s in stations if self.is_warm(job, s)]
        if warm:
            return min(warm, key=lambda s: len(s.queue) + (s.running is not None))
        return max(idle or stations, key=lambda s: (s.peer.vram_gb, -len(s.queue)))


class InTurn(Rival):
    """Keeps the line in queues of jobs with the same needs and priority, by arrival."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.queues: dict[tuple[object, ...], deque[tuple[int, Job]]] = {}
        self._arrivals: dict[str, int] = {}

    def arrived(self, job: Job) -> None:
        self._arrivals[job.id] = len(self._arrivals)
        self._queue(job).append((self._arrivals[job.id], job))

    def came_back(self, job: Job, peer: str) -> None:
        self._queue(job).appendleft((self._arrivals[job.id], job))

    def _queue(self, job: Job) -> deque[tuple[int, Job]]:
        return self.queues.setdefault((job.priority, job.files, job.classes, job.vram_gb), deque())


class MostSelective(InTurn):
    """By priority, then the job that the fewest peers could run, then arrival; to a peer that is idle."""

    def look(self) -> None:
        idle = {s.peer.id for s in self.world.stations.values() if s.known_up and not s.runs}
        queues = [queue for queue in self.queues.values() if queue]
        while idle and queues:
            queue = min(queues, key=lambda queue: self._rank(*queue[0]))
            job = queue[0][1]
            station = next((s for s in self.world.eligible(job) if s.peer.id in idle), None)
            if station is None:
                queues.remove(queue)
                continue
            idle.discard(station.peer.id)
            queue.popleft()
            self.send(job, station)
            if not queue:
                queues.remove(queue)

    def _rank(self, place: int, job: Job) -> tuple[float, int, int]:
        return -job.priority, self.world.selectivity(job), place


class SwarmUI(InTurn):
    """A peer takes one job and one more. Jobs go to a peer whose current model (one, its first file) is
    theirs; else the model under the highest pressure (10 for each job, and the seconds waited) loads, once
    a job of it waited for 1.5 s or there is only one that could load. Others' prompts are not counted."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._current: dict[str, str] = {}
        self._since: dict[str, float] = {}
        self._sums: dict[str, float] = {}  #: of the moments of arrival, by model

    def arrived(self, job: Job) -> None:
        super().arrived(job)
        self._since[job.id] = self.world.now_s
        self._add(job, 1)
        self.world.wake(self.world.now_s + PRESSURE_S)

    def came_back(self, job: Job, peer: str) -> None:
        super().came_back(job, peer)
        self._add(job, 1)

    def look(self) -> None:
        room = {s.peer.id for s in self.world.stations.values() if s.known_up and s.ours < 1 + OVER_QUEUE}
        queues = sorted((queue for queue in self.queues.values() if queue), key=lambda queue: queue[0][0])
        if not room or not queues:
            return
        for queue in queues:
            while queue:
                job = queue[0][1]
                model = _model(job)
                there = [s for s in self._with_room(job, room) if self._current.get(s.peer.id) == model]
                if not there:
                    break
                self._give(queue, min(there, key=lambda s: s.ours), room)
        now_s = self.world.now_s
        counts: dict[str, int] = {}
        first: dict[str, deque[tuple[int, Job]]] = {}
        for queue in filter(None, queues):
            model = _model(queue[0][1])
            counts[model] = counts.get(model, 0) + len(queue)
            first.setdefault(model, queue)
        pressure = {m: count * (10.0 + now_s) - self._sums[m] for m, count in counts.items()}
        for model in sorted(pressure, key=lambda m: -pressure[m]):
            job = first[model][0][1]
            idle = [s for s in self._with_room(job, room) if not s.ours]
            if idle and (now_s - self._since[job.id] >= PRESSURE_S - 1e-9 or len(idle) == 1):
                self._give(first[model], idle[0], room)

    def _with_room(self, job: Job, room: set[str]) -> list[Station]:
        return [s for s in self.world.eligible(job) if s.peer.id in room]

    def _give(self, queue: deque[tuple[int, Job]], station: Station, room: set[str]) -> None:
        _, job = queue.popleft()
        self._add(job, -1)
        self._current[station.peer.id] = _model(job)
        self.send(job, station)
        if station.ours >= 1 + OVER_QUEUE:
            room.discard(station.peer.id)

    def _add(self, job: Job, sign: int) -> None:
        model = _model(job)
        self._sums[model] = self._sums.get(model, 0.0) + sign * self._since[job.id]


def _model(job: Job) -> str:
    return job.files[0] if job.files else ""


RIVALS: dict[str, Callable[[World], Rival]] = {
    "round_robin": RoundRobin,
    "least_queue": LeastQueue,
    "least_queue_vram": LeastQueueVram,
    "swarmui": SwarmUI,
    "most_selective": MostSelective,
    "warm_idle": WarmIdle,
}
