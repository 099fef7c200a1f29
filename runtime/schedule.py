"""Order, lanes and waits, derived from the graph table. Nothing here knows what a node does."""

from collections.abc import Iterable
from dataclasses import dataclass

from vmfm.runtime.graph import Node


@dataclass(frozen=True)
class Step:
    """One node as a backend is told to run it.

    Before the node starts, its lane waits for the events of `waits` (nodes of other lanes, same frame).
    `records` says that some other lane, or the host, waits for this node.
    """

    node: Node
    lane: str
    waits: tuple[str, ...]
    records: bool


@dataclass(frozen=True)
class Schedule:
    """The steps of one frame in the order in which the host issues them.

    What it promises to a backend whose lanes each run their steps in issue order: no node reads a tensor before its
    writer has finished, no tensor is overwritten while someone still reads it, a node with memory sees frames in
    order, and once the last step of a frame is done, all of its steps are, so its slot may be used again.
    """

    steps: tuple[Step, ...]
    lanes: tuple[str, ...]

    @property
    def last(self) -> str:
        return self.steps[-1].node.name

    def readers(self, tensor: str) -> tuple[str, ...]:
        """The lanes that read a tensor."""
        return tuple(dict.fromkeys(step.lane for step in self.steps if tensor in step.node.reads))


def plan(nodes: Iterable[Node], *, one_lane: bool = False) -> Schedule:
    """Turns rows into steps. one_lane puts everything on a single lane, which then needs no waits at all."""
    nodes = tuple(nodes)
    lane_of = {node.name: "main" if one_lane else node.lane for node in nodes}
    waits = {name: _other_lanes(name, before, lane_of) for name, before in _dependencies(nodes).items()}
    waits[nodes[-1].name] = _unfinished(nodes, waits, lane_of)
    awaited = {name for names in waits.values() for name in names} | {nodes[-1].name}
    steps = tuple(Step(node, lane_of[node.name], waits[node.name], node.name in awaited) for node in nodes)
    return Schedule(steps, tuple(dict.fromkeys(lane_of.values())))


def _dependencies(nodes: tuple[Node, ...]) -> dict[str, list[str]]:
    """For each node the earlier nodes it must come after: writers of what it reads, users of what it overwrites."""
    writer: dict[str, str] = {}
    readers: dict[str, list[str]] = {}
    before: dict[str, list[str]] = {}
    for node in nodes:
        needed = [writer[tensor] for tensor in node.reads if tensor in writer]
        for tensor in node.writes:
            needed += readers.get(tensor, [])
            needed += [writer[tensor]] if tensor in writer else []
        before[node.name] = [name for name in dict.fromkeys(needed) if name != node.name]
        for tensor in node.reads:
            readers.setdefault(tensor, []).append(node.name)
        for tensor in node.writes:
            writer[tensor], readers[tensor] = node.name, []
    return before


def _other_lanes(name: str, before: list[str], lane_of: dict[str, str]) -> tuple[str, ...]:
    """Of each other lane the last of the nodes to come after: a lane keeps its order, so that one covers the rest."""
    order = list(lane_of)
    last: dict[str, str] = {}
    for earlier in sorted(before, key=order.index):
        if lane_of[earlier] != lane_of[name]:
            last[lane_of[earlier]] = earlier
    return tuple(last.values())


def _unfinished(nodes: tuple[Node, ...], waits: dict[str, tuple[str, ...]], lane_of: dict[str, str]) -> tuple[str, ...]:
    """What the last node waits for, so that when it is done the whole frame is: also ends of lanes nobody waits for."""
    final = nodes[-1].name
    ends = {lane_of[node.name]: node.name for node in nodes}
    awaited = {name for names in waits.values() for name in names}
    loose = [name for lane, name in ends.items() if lane != lane_of[final] and name not in awaited]
    return tuple(dict.fromkeys((*waits[final], *loose)))
