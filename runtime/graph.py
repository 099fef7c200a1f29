"""The paper as a table: every step from a frame to its matte, what it reads, what it writes, and its lane.

This is the only place that knows which nets exist and in which order they run (Figure 4 of the paper).
Schedules, bundles, engine building and benchmarks iterate it.

A row reads the value that the last row above it wrote, so a row may update a tensor in place. Rows on one lane
run in table order, frame after frame; rows on different lanes may run at the same time. What no row above wrote is
handed in with the frame.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Output = Literal["complementary", "s", "d"]
OUTPUTS: tuple[Output, ...] = ("complementary", "s", "d")
Result = Literal["alpha", "deviation", "picture"]
RESULTS: tuple[Result, ...] = ("alpha", "deviation", "picture")

PATCH_PX = 16
MEMORY = "memory"  # the tensor that frames hand on: each finds in it what the one before left there
# Its planes: the means of colour, alpha and deviation, how much doubt lasts, how many frames the means stand for.
MEMORY_PLANES = 3 + 1 + 1 + 1 + 1


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
class Over:
    """What the foreground of a picture is put over, and how.

    blur: over the frame's own background, blurred; else over a background that is handed in with the frame.
    radius_px: of the blur; None goes by the frame's height. linear: blend light instead of sRGB values.
    """

    blur: bool = False
    radius_px: float | None = None
    linear: bool = False


GIVEN = Over()


@dataclass(frozen=True)
class Node:
    """One row: a net (an ONNX file of the bundle) or an operation (code of the backend)."""

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    lane: str
    is_net: bool = False
    has_memory: bool = False  # updates MEMORY, so frames must pass it in order
    over: Over = GIVEN  # what the rows that make a picture have to know beyond their tensors


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
    _operation(
        "fuse", ("alpha_s", "deviation_s", "alpha_d", "deviation_d"), ("alpha_net", "deviation_net", "doubt"), "r"
    ),
    _operation(
        "temporal",
        ("image", "doubt", "alpha_net", "deviation_net"),
        ("alpha_net", "deviation_net", MEMORY),
        "r",
        has_memory=True,
    ),
    _operation("upsample", ("frame", "image", "alpha_net", "deviation_net"), ("alpha", "deviation"), "r"),
    _operation("select", ("deviation",), ("places",), "r"),
    _operation("gather", ("frame", "alpha", "places"), ("patches",), "r"),
    _net("refinement", ("patches",), "refined", "r"),
    _operation("scatter", ("alpha", "deviation", "refined", "places"), ("alpha",), "r"),
    _operation("blur", ("frame", "alpha"), ("background",), "r"),
    _operation("composite", ("frame", "alpha", "background"), ("picture",), "r"),
    _operation("deliver", ("alpha", "deviation", "picture"), ("matte",), "r"),
)

NETS: tuple[Node, ...] = tuple(node for node in GRAPH if node.is_net)
PATCH_NODES = ("select", "gather", "refinement", "scatter")
INPUT, BACKGROUND, RESULT = "frame", "background", "matte"


def build_graph(
    output: Output = "complementary",
    *,
    refine: bool = True,
    temporal: bool = True,
    deliver: tuple[Result, ...] = ("alpha", "deviation"),
    over: Over = GIVEN,
) -> tuple[Node, ...]:
    """The rows of GRAPH needed for one kind of matte, in table order.

    output: "complementary" fuses both foreground nets by their deviation; "s" or "d" takes one of them alone, and
    the nets that only serve the other one drop out. refine and temporal leave those steps in or out. deliver: what is
    wanted of a frame; over: what the picture's foreground is put over, by default a background handed in.
    """
    left_out = set() if refine else set(PATCH_NODES)
    if not temporal:
        left_out.add("temporal")
    if not over.blur:
        left_out.add("blur")
    rows = [_as_wanted(node, output, deliver, over) for node in GRAPH if node.name not in left_out]
    return tuple(_needed(rows))


def inputs(nodes: Iterable[Node]) -> tuple[str, ...]:
    """The tensors that rows read before any row wrote them."""
    read: dict[str, None] = {}
    written: set[str] = set()
    for node in nodes:
        read |= dict.fromkeys(name for name in node.reads if name not in written)
        written |= set(node.writes)
    return tuple(read)


def _as_wanted(node: Node, output: Output, deliver: tuple[Result, ...], over: Over) -> Node:
    if node.name == "fuse" and output != "complementary":
        return replace(node, reads=(f"alpha_{output}", f"deviation_{output}"))
    if node.name in ("blur", "composite"):
        return replace(node, over=over)
    return replace(node, reads=deliver) if node.name == "deliver" else node


def _needed(rows: Iterable[Node]) -> list[Node]:
    """Walks the rows backwards from the matte and keeps what something below reads."""
    wanted, kept = {RESULT}, []
    for node in reversed(list(rows)):
        if wanted & set(node.writes):
            wanted |= set(node.reads)
            kept.append(node)
    return kept[::-1]
