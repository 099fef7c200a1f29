"""The paper as a table: every step from a frame to its matte, what it reads, what it writes, and its lane.

This is the only place that knows which nets exist and in which order they run (Figure 4 of the paper).
Schedules, bundles, engine building and benchmarks iterate it.

A row reads the value that the last row above it wrote, so a row may update a tensor in place. Rows on one lane
run in table order, frame after frame; rows on different lanes may run at the same time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Output = Literal["complementary", "s", "d"]
OUTPUTS: tuple[Output, ...] = ("complementary", "s", "d")

PATCH_PX = 16


@dataclass(frozen=True)
class TensorSpec:
    """One named float32 tensor at a net's border: its channel count and the range of its values."""

    name: str
    channels: int
    low: float = 0.0
    high: float = 1.0


# Net-size tensors are (1, C, h, w); patches and refined are (K, C, 16, 16).
TENSORS: dict[str, TensorSpec] = {
    spec.name: spec
    for spec in (
        TensorSpec("image", 3),  # RGB, resized to the net
        TensorSpec("segmentation", 1),  # probability of a person
        TensorSpec("depth", 1),  # relative inverse depth, near = 1
        TensorSpec("heatmap", 1),  # where a person meets an object
        TensorSpec("alpha_s", 1),
        TensorSpec("alpha_d", 1),
        TensorSpec("deviation_s", 1),  # higher = less sure
        TensorSpec("deviation_d", 1),
        TensorSpec("patches", 4),  # alpha, then RGB
        TensorSpec("refined", 1),
    )
}


@dataclass(frozen=True)
class Node:
    """One row: a net (an ONNX file of the bundle) or an operation (code of the backend)."""

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    lane: str
    is_net: bool = False
    has_memory: bool = False  # carries something from one frame to the next, so frames must pass it in order


def _net(name: str, reads: tuple[str, ...], writes: str, lane: str) -> Node:
    return Node(name, reads, (writes,), lane, is_net=True)


def _operation(name: str, reads: tuple[str, ...], writes: tuple[str, ...], lane: str, has_memory: bool = False) -> Node:
    return Node(name, reads, writes, lane, has_memory=has_memory)


GRAPH: tuple[Node, ...] = (
    _operation("preprocess", ("frame",), ("image",), "i"),
    _net("interaction", ("image",), "heatmap", "i"),
    _net("segmentation", ("image",), "segmentation", "s"),
    _net("depth", ("image",), "depth", "d"),
    _net("foreground_s", ("image", "heatmap", "segmentation"), "alpha_s", "s"),
    _net("foreground_d", ("image", "heatmap", "depth"), "alpha_d", "d"),
    _net("complementary_s", ("image", "alpha_s"), "deviation_s", "s"),
    _net("complementary_d", ("image", "alpha_d"), "deviation_d", "d"),
    _operation("fuse", ("alpha_s", "deviation_s", "alpha_d", "deviation_d"), ("alpha_net", "deviation_net"), "r"),
    _operation("upsample", ("frame", "image", "alpha_net", "deviation_net"), ("alpha", "deviation"), "r"),
    _operation("select", ("deviation",), ("corners",), "r"),
    _operation("gather", ("frame", "alpha", "corners"), ("patches",), "r"),
    _net("refinement", ("patches",), "refined", "r"),
    _operation("scatter", ("alpha", "refined", "corners"), ("alpha",), "r"),
    _operation("temporal", ("image", "deviation_net", "alpha"), ("alpha",), "r", has_memory=True),
    _operation("deliver", ("alpha", "deviation"), ("matte",), "r"),
)

NETS: tuple[Node, ...] = tuple(node for node in GRAPH if node.is_net)
PATCH_NODES = ("select", "gather", "refinement", "scatter")
INPUT, RESULT = "frame", "matte"


def build_graph(output: Output = "complementary", *, refine: bool = True, temporal: bool = True) -> tuple[Node, ...]:
    """The rows of GRAPH needed for one kind of matte, in table order.

    output: "complementary" fuses both foreground nets by their deviation; "s" or "d" takes one of them alone, and
    the nets that only serve the other one drop out. refine and temporal leave those steps in or out.
    """
    left_out = set() if refine else set(PATCH_NODES)
    if not temporal:
        left_out.add("temporal")
    rows = [_for_output(node, output) for node in GRAPH if node.name not in left_out]
    return tuple(_needed(rows))


def _for_output(node: Node, output: Output) -> Node:
    if node.name != "fuse" or output == "complementary":
        return node
    return replace(node, reads=(f"alpha_{output}", f"deviation_{output}"))


def _needed(rows: Iterable[Node]) -> list[Node]:
    """Walks the rows backwards from the matte and keeps what something below reads."""
    wanted, kept = {RESULT}, []
    for node in reversed(list(rows)):
        if wanted & set(node.writes):
            wanted |= set(node.reads)
            kept.append(node)
    return kept[::-1]
