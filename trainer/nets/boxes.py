"""Arithmetic of boxes and of the masks in them, for any number of pictures at once and always for as many boxes.

Boxes are (..., 4): x0, y0, x1, y1 in pixels.
"""

import math

import torch
from torch import Tensor

MOST_GROWTH = math.log(1000 / 16)  # of a box's side, as its logarithm
LAST = 100.0  # taken off the score of a box that is not to be chosen


def decode(moves: Tensor, boxes: Tensor, weights: tuple[float, ...], size: tuple[int, int]) -> Tensor:
    """Boxes (..., 4) moved by what a head says (R-CNN's coding: centre by size, logarithm of size), kept inside (H, W)."""
    start, end = boxes[..., :2], boxes[..., 2:]
    extent = end - start
    centre = start + extent / 2 + moves[..., :2] / weights[0] * extent
    half = (moves[..., 2:] / weights[2]).clamp(max=MOST_GROWTH).exp() * extent / 2
    x0, y0 = (centre - half).unbind(-1)
    x1, y1 = (centre + half).unbind(-1)
    height, width = size
    return torch.stack((x0.clamp(0, width), y0.clamp(0, height), x1.clamp(0, width), y1.clamp(0, height)), dim=-1)


def survivors(boxes: Tensor, scores: Tensor, overlap: float, count: int) -> Tensor:
    """Which `count` of the boxes (N, P, 4) to keep, (N, count): the best that no better box overlaps by more than `overlap`.

    Suppresses all at once (Fast NMS, Bolya et al. 2019): a box also goes where the better one goes itself. Those that
    go are taken last, where fewer are left than wanted.
    """
    area = (boxes[..., 2:] - boxes[..., :2]).prod(-1)
    inner = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    inner = (inner - torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])).clamp(min=0).prod(-1)
    iou = inner / (area[:, :, None] + area[:, None] - inner).clamp(min=1e-6)
    better = scores[:, :, None] > scores[:, None]
    beaten = (iou * better).amax(dim=1) > overlap
    return (scores - LAST * beaten.float()).topk(min(count, int(scores.shape[1])), dim=1).indices


def paste(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """masks (N, P, M, M) stretched over boxes (N, P, 4) in pixels -> (N, P, H, W): bilinear, 0 outside.

    A bilinear sample weighs cells by a tent of their distance along either axis: two matrix products do a whole mask.
    """
    side = masks.shape[-1]
    height, width = size
    rows = _tents(boxes[..., 1], boxes[..., 3], height, side)
    columns = _tents(boxes[..., 0], boxes[..., 2], width, side)
    return rows @ masks @ columns.transpose(-1, -2)


def _tents(start: Tensor, end: Tensor, length: int, side: int) -> Tensor:
    """Weights (N, P, length, side) of the cells between start and end (N, P) for each pixel of a line."""
    pixels = torch.arange(length, device=start.device) + 0.5
    extent = (end - start).clamp(min=1)
    places = (pixels - start[..., None]) / extent[..., None] * side - 0.5
    return (1 - (places[..., None] - torch.arange(side, device=start.device)).abs()).clamp(min=0)
