"""Motion blur: means over the exposure, for colours and alpha alike."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from vmfm.trainer.data.dice import Dice
from vmfm.trainer.data.motion import move, shake, streak

CPU = torch.device("cpu")
SHIFT = st.floats(-6, 6)


def test_who_does_not_move_is_not_blurred():
    planes = torch.rand(4, 16, 16)
    assert torch.equal(streak(planes, 0, 0), planes)


@given(SHIFT, SHIFT)
def test_a_streak_keeps_sums_and_centre_and_what_is_even(dx, dy):
    dot = torch.zeros(1, 33, 33)
    dot[0, 16, 16] = 1
    seen = streak(dot, dx, dy)[0]
    y, x = torch.meshgrid(torch.arange(33.0) - 16, torch.arange(33.0) - 16, indexing="ij")
    torch.testing.assert_close(seen.sum(), torch.tensor(1.0))
    assert abs((seen * x).sum()) < 0.51 and abs((seen * y).sum()) < 0.51  # to the pixel
    assert x[seen > 0].abs().max() <= abs(dx) / 2 + 0.5 and y[seen > 0].abs().max() <= abs(dy) / 2 + 0.5
    torch.testing.assert_close(streak(torch.full((2, 9, 9), 0.4), dx, dy), torch.full((2, 9, 9), 0.4))


def test_a_moving_foreground_is_the_mean_of_what_it_covers():
    """Composed after the blur it is the same as the mean of pictures composed at every place it passes."""
    rng = np.random.default_rng(0)
    rgb, behind = (torch.from_numpy(rng.random((3, 24, 40), np.float32)) for _ in range(2))
    alpha = torch.zeros(1, 24, 40)
    alpha[:, 8:16, 14:26] = 1
    colour, opacity, person = move(rgb, alpha, alpha, 6, 0)
    places = [-3, -2, -1, 0, 1, 2, 3]
    passed = [torch.where(alpha.roll(x, -1) > 0, rgb.roll(x, -1), behind) for x in places]
    torch.testing.assert_close(opacity * colour + (1 - opacity) * behind, torch.stack(passed).mean(0))
    assert torch.equal(opacity, person)
    assert 0 < opacity[0, 12, 12] < 1


def test_foreground_background_or_both_move():
    n, side = 30, 160
    alpha = torch.zeros(n, 1, side, side)
    alpha[:, :, 40:120, 40:120] = 1
    planes = torch.cat(
        (torch.rand(n, 3, side, side), alpha, torch.zeros_like(alpha), alpha, torch.zeros(n, 2, side, side)), 1
    )
    behind = torch.rand(n, 3, side, side)
    moved, passed = shake(planes, behind, np.array([1.0] * 20 + [0.0] * 10), Dice(n, slice(None), 3, CPU))
    front = (moved[:, 3] != planes[:, 3]).flatten(1).any(1)
    back = (passed != behind).flatten(1).any(1)
    assert not front[20:].any() and not back[20:].any()
    seen = {(bool(f), bool(b)) for f, b in zip(front[:20], back[:20], strict=True)}
    assert seen == {(True, False), (False, True), (True, True)}
    assert torch.equal(moved[:, 4], planes[:, 4]) and torch.equal(moved[:, 6:], planes[:, 6:])
    assert torch.equal(moved[:, 3], moved[:, 5])
