"""What `vmfm bench` prints."""

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from vmfm.apps.bench import Case, Report
from vmfm.apps.speed import Mode, Speed


def print_report(report: Report) -> None:
    """A table of frames per second and latencies, and one of where the time goes, on stdout."""
    console = Console(highlight=False, markup=False)
    console.print(f"{report.bundle} ({report.bundle_sha256[:12]}) on {report.backend}: {report.backend_note}")
    console.print(f"{report.frames} frames ({report.source}) to {' and '.join(report.delivers)}; {report.computer}")
    console.print(_modes(report))
    for case in report.cases:
        if case.one_lane is not None:
            console.print(_gain(case, case.one_lane))
    console.print(_rows(report))


def _modes(report: Report) -> Table:
    """fps; percentiles of the latency in milliseconds; medians summed over the nets and over all rows. Fits 80 columns."""
    heads = ("fps", "p50 ms", "p95", "p99", "nets", "rows")
    columns = [Column("frames"), Column("nets at"), Column("mode"), *(Column(head, justify="right") for head in heads)]
    table = Table(*columns, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for case in report.cases:
        for name, mode in _ways(case):
            latency = mode.latency_ms
            times = (latency.p50, latency.p95, latency.p99, mode.nets_ms, mode.rows_ms)
            sizes = f"{case.width}x{case.height}", f"{case.detail} {case.net_width}x{case.net_height}"
            table.add_row(*sizes, name, f"{mode.fps:.1f}", *(f"{ms:.1f}" for ms in times))
    return table


def _ways(case: Case) -> Iterator[tuple[str, Mode]]:
    for lanes, speed in (("", case.lanes), (", one lane", case.one_lane)):
        if speed is not None:
            yield f"one by one{lanes}", speed.low_latency
            yield f"{speed.throughput.frames_in_flight} in flight{lanes}", speed.throughput


def _name(case: Case) -> str:
    return f"{case.width}x{case.height} {case.detail}"


def _gain(case: Case, one_lane: Speed) -> str:
    step, flight = (
        getattr(case.lanes, mode).fps / getattr(one_lane, mode).fps for mode in ("low_latency", "throughput")
    )
    in_flight = case.lanes.throughput.frames_in_flight
    overhead = one_lane.low_latency.latency_ms.p50 - one_lane.low_latency.rows_ms
    return (
        f"{_name(case)}: lanes side by side are {step:.2f} times as fast one frame at a time, "
        f"{flight:.2f} times with {in_flight} in flight; on one lane {overhead:.2f} ms go beside the rows"
    )


def _rows(report: Report) -> Table:
    """Medians in milliseconds, one frame at a time: of every row of the graph, and summed per lane."""
    table = Table(Column("p50 ms of row", no_wrap=True), "", *map(_name, report.cases))
    modes = [case.lanes.low_latency for case in report.cases]
    for row in modes[0].nodes_ms:
        table.add_row(row, "net" if row in report.nets else "", *(f"{mode.nodes_ms[row].p50:.2f}" for mode in modes))
    table.add_section()
    for lane in modes[0].lanes_ms:
        table.add_row(f"lane {lane}", "sum", *(f"{mode.lanes_ms[lane]:.2f}" for mode in modes))
    return table
