"""Interaction points: where a person and the thing in use meet, as Gaussians on a heatmap (PPDM's target)."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

IOU = 0.7  # a peak may wander this far before its box overlaps less than that (CornerNet's rule)
FURNITURE = ("dining table", "bed", "couch", "bench")  # classes near people more often than used by them
FLOOR = 0.035  # smallest sigma, as a share of sqrt(H W); the published radius is 0 when two centres line up


class Point(NamedTuple):
    """A peak at (x, y) pixels of the source picture; `span` (width, height) sets its size; `confidence` in [0, 1].

    height: of the person, pixels. lone: of a person without a thing.
    """

    x: float
    y: float
    span: tuple[float, float]
    confidence: float = 1.0
    height: float = 0.0
    lone: bool = False


Box = tuple[float, float, float, float]  # x, y, width, height in pixels


def pair_point(person: Box, thing: Box, confidence: float = 1.0) -> Point:
    """The midpoint of the two box centres, as wide as the box that the centres span."""
    (px, py), (tx, ty) = _center(person), _center(thing)
    return Point((px + tx) / 2, (py + ty) / 2, (abs(px - tx), abs(py - ty)), confidence, person[3])


def lone_point(person: Box) -> Point:
    """A person without an object peaks at his or her own centre."""
    return Point(*_center(person), span=(person[2] / 2, person[3] / 2), height=person[3], lone=True)


def gaussian_radius(width: float, height: float, iou: float = IOU) -> float:
    """How far both corners of a width x height box may move (pixels) while it still overlaps itself by `iou`.

    The smallest of the three cases of CornerNet: one corner in and one out, both in, both out.
    """
    total, area = width + height, width * height
    cases = (
        (1.0, -total, area * (1 - iou) / (1 + iou)),
        (4.0, -2 * total, area * (1 - iou)),
        (4.0 * iou, 2 * iou * total, (iou - 1) * area),
    )
    return max(
        0.0,
        min(
            (-b + sign * math.sqrt(max(b * b - 4 * a * c, 0))) / (2 * a) for (a, b, c), sign in zip(cases, (-1, -1, 1))
        ),
    )


def sigma(point: Point) -> float:
    """Standard deviation in source pixels before the floor: (2 r + 1) / 6."""
    return (2 * gaussian_radius(*point.span) + 1) / 6


def render(points: Tensor, height: int, width: int) -> Tensor:
    """points (N, P, 4) of x, y, sigma, confidence in output pixels (confidence 0 = no point) -> heatmap (N, 1, H, W).

    Gaussians are max-merged; sigma is floored to FLOOR * sqrt(H W).
    """
    x, y, spread, confidence = points.unbind(-1)
    spread = spread.clamp(min=FLOOR * math.sqrt(height * width))

    def bell(count: int, centre: Tensor) -> Tensor:
        offsets = torch.arange(count, device=points.device) + 0.5 - centre[..., None]
        return torch.exp(-(offsets**2) / (2 * spread[..., None] ** 2))

    # a Gaussian is the product of its rows and its columns
    bumps = (confidence[..., None] * bell(height, y))[..., :, None] * bell(width, x)[..., None, :]
    return bumps.amax(dim=1, keepdim=True)


def _center(box: Box) -> tuple[float, float]:
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def points_of(entry: dict, weigh: bool) -> list[Point]:
    """Points of one photo of `interactions.json`; `weigh` scales each by the pair's confidence (pseudo-boxes)."""
    persons, things = entry["persons"], entry["objects"]
    pairs: Iterable[dict] = entry["pairs"]
    points = [
        pair_point(persons[p["person"]]["box"], things[p["object"]]["box"], p["confidence"] if weigh else 1.0)
        for p in pairs
        if p["rank"] == 0
    ]
    busy = {p["person"] for p in pairs}
    return points + [lone_point(p["box"]) for i, p in enumerate(persons) if i not in busy]


def points_of_render(facts: dict) -> list[Point]:
    """Points of one render, from its `.json`."""
    people = facts.get("persons", [facts["person_mask"]])
    points = [pair_point(xywh(holder_in(facts, thing)), xywh(thing["bbox"])) for thing in facts["objects"]]
    busy = {thing.get("person", 0) for thing in facts["objects"]}
    idle = [person["bbox"] for number, person in enumerate(people) if number not in busy]
    return points + [lone_point(xywh(box)) for box in idle if box]  # who is hidden has none


def holder_in(facts: dict, thing: dict) -> list[int]:
    """The corners of the person whose thing it is, in a render's `.json`."""
    return thing.get("person_bbox", facts["person_mask"]["bbox"])


def xywh(corners: list[int]) -> Box:
    """A box given as x0, y0, x1, y1."""
    x0, y0, x1, y1 = corners
    return x0, y0, x1 - x0, y1 - y0
