"""The schedule, executed by a fake device whose lanes advance in random order: nothing may be read too early,
overwritten too early, or get stuck."""

import random
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vmfm.runtime.graph import GRAPH, OUTPUTS, RESULT, RESULTS, Node, Over, build_graph, inputs
from vmfm.runtime.schedule import Schedule, plan

results = st.lists(st.sampled_from(RESULTS), min_size=1, unique=True).map(tuple)
options = st.tuples(st.booleans(), st.sampled_from(OUTPUTS), st.booleans(), st.booleans(), results, st.booleans())


def make_schedule(option: tuple) -> Schedule:
    one_lane, output, refine, temporal, deliver, blur = option
    graph = build_graph(output, refine=refine, temporal=temporal, deliver=deliver, over=Over(blur=blur))
    return plan(graph, one_lane=one_lane)


class FakeDevice:
    """Lanes are queues of (action, frame, node or name). A node takes time: it begins, and ends some steps later.

    What is handed in arrives on a lane of its own, and the lanes that read it wait for it.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        lanes = ("upload", *schedule.lanes)
        self.lanes: dict[str, deque] = {lane: deque() for lane in lanes}
        self.running: dict[str, tuple[int, Node] | None] = dict.fromkeys(lanes)
        self.recorded: set[tuple[int, str]] = set()
        self.finished: list[tuple[int, str]] = []
        nodes = [step.node for step in schedule.steps]
        self.uploads = [Node(f"upload {tensor}", (), (tensor,), "upload") for tensor in inputs(nodes)]
        order = [*self.uploads, *nodes]
        self.sources = {node.name: sources_of(node, order) for node in order}

    def issue(self, frame: int) -> None:
        for upload in self.uploads:
            self.lanes["upload"] += [("run", frame, upload), ("record", frame, upload.name)]
            for lane in self.schedule.readers(*upload.writes):
                self.lanes[lane].append(("wait", frame, upload.name))
        for step in self.schedule.steps:
            for name in step.waits:
                self.lanes[step.lane].append(("wait", frame, name))
            self.lanes[step.lane].append(("run", frame, step.node))
            if step.records:
                self.lanes[step.lane].append(("record", frame, step.node.name))

    def ready(self) -> list[str]:
        return [lane for lane in self.lanes if self.running[lane] or self._can_start(lane)]

    def _can_start(self, lane: str) -> bool:
        if not self.lanes[lane]:
            return False
        action, frame, what = self.lanes[lane][0]
        return action != "wait" or (frame, what) in self.recorded

    def advance(self, lane: str) -> None:
        if self.running[lane]:
            frame, node = self.running[lane]
            self.running[lane] = None
            self.finished.append((frame, node.name))
            return
        action, frame, what = self.lanes[lane].popleft()
        if action == "record":
            self.recorded.add((frame, what))
        elif action == "run":
            self._begin(lane, frame, what)

    def _begin(self, lane: str, frame: int, node: Node) -> None:
        done = {name for f, name in self.finished if f == frame}
        assert self.sources[node.name] <= done, f"{node.name} started before {self.sources[node.name] - done}"
        for other in filter(None, self.running.values()):
            if other[0] == frame:
                clash = set(node.writes) & {*other[1].reads, *other[1].writes} | set(node.reads) & set(other[1].writes)
                assert not clash, f"{node.name} touches {clash} while {other[1].name} runs"
        if node.has_memory:
            assert [f for f, name in self.finished if name == node.name] == list(range(frame))
        self.running[lane] = (frame, node)


def sources_of(node: Node, order: list[Node]) -> set[str]:
    """The last writer above the node of each tensor it reads, by reading the table."""
    above = order[: order.index(node)]
    writers = ([n.name for n in above if tensor in n.writes][-1:] for tensor in node.reads)
    return {name for last in writers for name in last}


@settings(max_examples=2000, deadline=None)
@given(options, st.integers(1, 3), st.integers(1, 5), st.randoms(use_true_random=False))
def test_every_interleaving_is_sound(option: tuple, slots: int, frames: int, rng: random.Random) -> None:
    schedule = make_schedule(option)
    device = FakeDevice(schedule)
    submitted = collected = 0
    while collected < frames:
        if submitted < frames and submitted - collected < slots and rng.random() < 0.5:
            device.issue(submitted)
            submitted += 1
        if (collected, schedule.last) in device.recorded:
            done = {name for frame, name in device.finished if frame == collected}
            assert done == set(device.sources), "a slot would be reused while it is in use"
            collected += 1
            continue
        ready = device.ready()
        assert ready or submitted - collected < slots, "deadlock"
        if ready:
            device.advance(rng.choice(ready))
    assert not any(device.lanes.values())


def test_the_next_frame_starts_while_this_one_is_refined() -> None:
    """With two slots, nothing but its own lane holds back a modality net of frame 1 while frame 0 is not done."""
    device = FakeDevice(plan(GRAPH))
    for frame in (0, 1):
        device.issue(frame)
    while ready := [lane for lane in device.ready() if lane != "r"]:
        device.advance(ready[0])
    ran = {name for frame, name in device.finished if frame == 1}
    assert {"segmentation", "depth", "interaction", "foreground_s", "complementary_d"} <= ran
    assert not {name for _, name in device.finished} & {"fuse", "refinement", "deliver"}


@given(options)
def test_one_lane_needs_no_waits(option: tuple) -> None:
    schedule = make_schedule((True, *option[1:]))
    assert len(schedule.lanes) == 1 and not any(step.waits for step in schedule.steps)


@pytest.mark.parametrize(
    ("output", "gone"), [("s", {"depth", "foreground_d"}), ("d", {"segmentation", "foreground_s"})]
)
def test_nets_that_serve_nothing_drop_out(output: str, gone: set[str]) -> None:
    names = {node.name for node in build_graph(output)}  # type: ignore[arg-type]
    assert not names & gone and f"complementary_{output}" in names


def test_graph_without_refinement_and_time() -> None:
    names = [node.name for node in build_graph(refine=False, temporal=False)]
    assert names[-3:] == ["fuse", "upsample", "deliver"]


@pytest.mark.parametrize("wanted", RESULTS)
def test_only_what_is_delivered_is_made(wanted: str) -> None:
    names = {node.name for node in build_graph(deliver=(wanted,))}  # type: ignore[arg-type]
    assert ("composite" in names) == (wanted == "picture")
    assert "blur" not in names


def test_a_background_is_handed_in_or_made() -> None:
    assert inputs(build_graph(over=Over(blur=True))) == ("frame",)
    assert inputs(build_graph(deliver=("picture",))) == ("frame", "background")
    own = build_graph(deliver=("picture",), over=Over(blur=True, radius_px=9))
    assert inputs(own) == ("frame",)
    assert [node.over.radius_px for node in own if "background" in (*node.reads, *node.writes)] == [9, 9]


def test_table_is_in_order_and_complete() -> None:
    written = {"frame"}
    for node in GRAPH:
        assert set(node.reads) <= written, node.name
        written |= set(node.writes)
    assert GRAPH[-1].writes == (RESULT,)
    whole = build_graph(deliver=RESULTS, over=Over(blur=True))
    assert [node.name for node in whole] == [node.name for node in GRAPH]


def test_modality_nets_and_both_foreground_nets_have_lanes_of_their_own() -> None:
    lane = {step.node.name: step.lane for step in plan(GRAPH).steps}
    assert len({lane[name] for name in ("segmentation", "depth", "interaction")}) == 3
    assert lane["foreground_s"] != lane["foreground_d"]
