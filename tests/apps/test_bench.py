"""`vmfm bench`: what it prints and what its report holds."""

import json

import pytest
from vmfm.runtime.graph import NETS

TINY = ("--size", "96x64", "--frames", "4", "--detail", "fine", "--json", "report.json")


def test_both_modes_are_timed_for_every_size(vmfm, tmp_path) -> None:
    status, out, _ = vmfm("bench", *TINY, "--size", "64x96")
    assert status == 0
    assert "OpenVINO" in out and "foreground_d" in out and "lane s" in out
    report = json.loads((tmp_path / "report.json").read_text())
    assert [(case["width"], case["height"]) for case in report["cases"]] == [(96, 64), (64, 96)]
    assert set(report["nets"]) == {net.name for net in NETS} and len(report["bundle_sha256"]) == 64
    for case in report["cases"]:
        assert f"{case['width']}x{case['height']}" in out and f"{case['net_width']}x{case['net_height']}" in out
        assert case["one_lane"] is None
        for mode, in_flight in (("low_latency", 1), ("throughput", 3)):
            measured = case["lanes"][mode]
            assert measured["fps"] > 0 and measured["frames_in_flight"] == in_flight
            assert 0 < measured["latency_ms"]["p50"] <= measured["latency_ms"]["p95"] <= measured["latency_ms"]["p99"]


def test_every_detail_is_timed_the_fastest_first(vmfm, tmp_path) -> None:
    status, out, _ = vmfm("bench", "--size", "512x512", "--frames", "4", "--json", "report.json")
    assert status == 0
    cases = json.loads((tmp_path / "report.json").read_text())["cases"]
    assert [case["detail"] for case in cases] == ["fast", "balanced", "fine"]
    sizes = [case["net_width"] * case["net_height"] for case in cases]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]
    assert all(detail in out for detail in ("fast", "balanced", "fine"))
    status, _, err = vmfm("bench", "--detail", "coarse")
    assert status == 2 and "coarse" in err and "balanced" in err


def test_sums_are_those_of_the_rows(vmfm, tmp_path) -> None:
    assert vmfm("bench", *TINY)[0] == 0
    mode = json.loads((tmp_path / "report.json").read_text())["cases"][0]["lanes"]["low_latency"]
    medians = {row: times["p50"] for row, times in mode["nodes_ms"].items()}
    assert mode["rows_ms"] == pytest.approx(sum(medians.values())) == pytest.approx(sum(mode["lanes_ms"].values()))
    assert mode["nets_ms"] == pytest.approx(sum(medians[net.name] for net in NETS))
    assert mode["lanes_ms"]["d"] == pytest.approx(
        sum(medians[row] for row in ("depth", "foreground_d", "complementary_d"))
    )


def test_one_lane_takes_what_its_rows_take(vmfm, tmp_path) -> None:
    status, out, _ = vmfm("bench", *TINY, "--one-lane")
    assert status == 0 and "lanes side by side are" in out
    alone = json.loads((tmp_path / "report.json").read_text())["cases"][0]["one_lane"]
    latencies, rows = alone["low_latency"]["latency_ms"], alone["low_latency"]["nodes_ms"]
    assert latencies["mean"] >= sum(times["mean"] for times in rows.values())  # nothing ran beside anything


def test_pictures_are_composited_in_the_stream(vmfm, tmp_path) -> None:
    assert vmfm("bench", *TINY)[0] == 0
    matte = json.loads((tmp_path / "report.json").read_text())
    status, out, _ = vmfm("bench", *TINY, "--picture")
    assert status == 0 and "to picture" in out
    picture = json.loads((tmp_path / "report.json").read_text())
    rows, more = (report["cases"][0]["lanes"]["throughput"]["nodes_ms"] for report in (matte, picture))
    assert set(more) - set(rows) == {"composite"} and not set(rows) - set(more)
    assert (matte["delivers"], picture["delivers"]) == (["alpha", "deviation"], ["picture"])


def test_a_video_is_timed_at_its_own_size_or_another(vmfm, make_video, tmp_path) -> None:
    make_video(tmp_path / "in.mp4", size=(80, 48))
    assert vmfm("bench", "--input", "in.mp4", "--frames", "20", "--detail", "fine", "--json", "own.json")[0] == 0
    assert vmfm("bench", "--input", "in.mp4", *TINY)[0] == 0
    own, other = (json.loads((tmp_path / name).read_text())["cases"] for name in ("own.json", "report.json"))
    assert [(case["width"], case["height"]) for case in (*own, *other)] == [(80, 48), (96, 64)]


def test_a_size_that_is_none_is_told(vmfm) -> None:
    status, _, err = vmfm("bench", "--size", "1280x720", "--size", "12by9")
    assert status == 1 and "12by9" in err and "WIDTHxHEIGHT" in err
