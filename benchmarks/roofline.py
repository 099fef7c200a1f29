"""What the bundles could do on GeForce RTX cards, predicted from datasheets: no such card was measured. Prints Markdown.

PYTHONPATH=.dev python benchmarks/roofline.py > benchmarks/results/roofline.md
"""

import itertools
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from floor import Floor, Rates, frame_floor
from gpu_options import SIZES
from vmfm.runtime.bundle import DETAILS, Bundle, Detail, shipped_bundles
from vmfm.runtime.graph import build_graph
from work import FrameWork, Work, count_frame

HERE = Path(__file__).parent
_HALF = 2  # bytes of a number in the nets

Case = tuple[str, Detail, str]  # a bundle, a detail, and a size by its name


@dataclass(frozen=True)
class Card:
    """A GPU by its datasheet: see cards.toml."""

    name: str
    fp32_accumulate: float
    fp16_accumulate: float
    memory: float
    pcie: float
    source: str
    multiprocessors: int | None = None
    boost_ghz: float | None = None

    def rates(self, accumulator: str) -> Rates:
        """accumulator: what sums of fp16 products are kept in, "fp32" or "fp16"."""
        matrix = {"fp32": self.fp32_accumulate, "fp16": self.fp16_accumulate}[accumulator]
        return Rates(matrix * 1e12, self.memory * 1e9, self.pcie * 1e9, self.pcie * 1e9)


@dataclass(frozen=True)
class Calibration:
    """How long a frame took on the measured GPU, and how long its datasheet says that computing takes at least, in seconds."""

    measured: float
    computing: float

    def bounds(self, floor: Floor) -> tuple[float, float]:
        """The longest and the shortest time to expect of another GPU, by its floor.

        The longest: it comes no nearer to its floor than the measured GPU did. The shortest: it only loses the time that
        the measured GPU lost, and that was what no GPU gets around: starting kernels too small to fill it.
        """
        longest = floor.computing * self.measured / self.computing
        shortest = floor.computing + self.measured - self.computing
        return max(longest, floor.copying), max(shortest, floor.copying)


def load_cards() -> tuple[tuple[Card, ...], Card]:
    """The cards to predict, and the one that was measured."""
    content = tomllib.loads((HERE / "cards.toml").read_text(encoding="utf-8"))
    (measured,) = content["measured"]
    return tuple(Card(**card) for card in content["card"]), Card(**measured)


def measured_fps(card: Card) -> dict[Case, float]:
    """By bundle, detail and size: frames per second in flight, of the reports of gpu_check.py on that card."""
    found = {}
    for file in sorted((HERE / "results").glob("*.json")):
        results = json.loads(file.read_text(encoding="utf-8"))
        if card.name in str(results.get("environment", {}).get("gpu", "")):
            ways = {"lanes": results["environment"].get("detail", "fine"), "fast": "fast"}
            for bundle, size, (way, detail) in itertools.product(shipped_bundles(), SIZES, ways.items()):
                if run := results.get("bench", {}).get(f"{bundle} {size} throughput, {way}"):
                    found[bundle, detail, size] = run["fps"]
    return found


def count_all() -> dict[Case, FrameWork]:
    return {
        (name, detail, size): count_frame(Bundle.open(name), build_graph(), SIZES[size], _HALF, detail)
        for name, detail, size in itertools.product(shipped_bundles(), DETAILS, SIZES)
    }


def calibrate(work: Mapping[Case, FrameWork], card: Card) -> dict[tuple[str, str], Calibration]:
    """By bundle and size, as far as it was measured on that card: at the finest detail that was."""
    measured = sorted(measured_fps(card).items(), key=lambda found: DETAILS[found[0][1]])
    return {
        (bundle, size): Calibration(1 / fps, frame_floor(work[bundle, detail, size], card.rates("fp32")).computing)
        for (bundle, detail, size), fps in measured
    }


def to_markdown() -> str:
    cards, measured = load_cards()
    work = count_all()
    calibrations = calibrate(work, measured)
    lines = [_HEAD.format(measured=measured.name, **_copies(cards[0]))]
    for bundle in shipped_bundles():
        for detail in DETAILS:
            by_size = {size: work[bundle, detail, size] for size in SIZES}
            known = {size: calibrations.get((bundle, size)) for size in SIZES}
            lines += [
                f"## `{bundle}`, {detail}: {_cost(by_size['1080p'].total)}",
                "",
                *_table(cards, by_size, known),
                "",
            ]
        lines += [_basis(bundle, calibrations, measured), ""]
    lines += ["## Sources", ""]
    return "\n".join([*lines, *map(_source, (*cards, measured))])


def _cost(total: Work) -> str:
    return f"{total.flops / 1e9:.1f} GFLOP and {total.nbytes / 1e6:.0f} MB a frame at 1080p"


def _table(
    cards: Iterable[Card], work: Mapping[str, FrameWork], calibrations: Mapping[str, Calibration | None]
) -> Iterator[str]:
    """A row per card; work, calibrations: by size."""
    yield "| card | " + " | ".join(f"{size}: at best | calibrated" for size in work) + " |"
    yield "|---|" + "---:|" * (2 * len(work))
    for card in cards:
        cells = itertools.chain.from_iterable(_cells(card, work[size], calibrations[size]) for size in work)
        yield f"| {card.name} | " + " | ".join(cells) + " |"


def _cells(card: Card, work: FrameWork, calibration: Calibration | None) -> tuple[str, str]:
    """fps at best, and the range to expect."""
    safe, fast = (frame_floor(work, card.rates(accumulator)) for accumulator in ("fp32", "fp16"))
    ceilings = dict.fromkeys(f"{1 / floor.seconds:.0f}" for floor in (safe, fast))
    at_best = f"{' / '.join(ceilings)} ({safe.bound})"
    if calibration is None:
        return at_best, "-"
    longest, shortest = calibration.bounds(safe)
    return at_best, " to ".join(dict.fromkeys(f"{1 / seconds:.0f}" for seconds in (longest, shortest)))


def _basis(bundle: str, calibrations: Mapping[tuple[str, str], Calibration], card: Card) -> str:
    known = {size: calibration for (of, size), calibration in calibrations.items() if of == bundle}
    if not known:
        return f"Never measured on an {card.name}, so there is nothing to calibrate by."
    figures = (f"{1 / it.measured:.0f} fps at {size}, {it.computing / it.measured:.1%}" for size, it in known.items())
    return f"Measured on an {card.name}, with the share of what computing would allow there: {'; '.join(figures)}."


def _copies(card: Card) -> dict[str, str]:
    """What the bus alone allows for 4K: mattes coming down, or finished pictures."""
    bundle = Bundle.open(shipped_bundles()[0])
    graphs = {"mattes": build_graph(), "pictures": build_graph(deliver=("picture",))}
    floors = {
        key: frame_floor(count_frame(bundle, nodes, SIZES["4K"], _HALF), card.rates("fp32")).copying
        for key, nodes in graphs.items()
    }
    return {"bus": f"{card.pcie:g}", **{key: f"{1 / seconds:.0f}" for key, seconds in floors.items()}}


def _source(card: Card) -> str:
    return (
        f"* {card.name}: {card.fp32_accumulate:g} / {card.fp16_accumulate:g} TFLOP/s (sums in FP32 / FP16), "
        f"{card.memory:g} GB/s, PCIe {card.pcie:g} GB/s. {card.source}"
    )


_HEAD = """# Predicted: frames per second on GeForce RTX cards

**Nothing here was measured on these cards.** It is what their datasheets allow, made by `benchmarks/roofline.py`.

*At best*: with frames in flight, the time of a frame is at least that of its busiest part (in brackets): FLOP over the dense
FP16 tensor rate (sums in FP32 / in FP16, where that makes a difference), bytes over the memory's bandwidth (each convolution
reads its input and kernel and writes its output once; a cache can save some of that), the frame up, or alpha and deviation
as floats down, over PCIe. Such mattes can come down {mattes} times a second at 4K and {bus} GB/s; where finished pictures are
wanted instead, 3 bytes a pixel, {pictures} times.

*Calibrated*: between two assumptions, by what an {measured} reached with the torch backend. The low end comes no nearer to what
computing allows than that did; the high end loses only the milliseconds that it lost. For nets as small as those of `lite`
an {measured} is far from filled, so the low end is pessimistic, the more the smaller the card. Sums in FP32.
"""


if __name__ == "__main__":
    print(to_markdown())
