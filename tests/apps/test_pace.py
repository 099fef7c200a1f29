"""At how many pixels the nets look at a live picture, as the time that they take says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vmfm.apps.pace import ENOUGH_FPS, Pace
from vmfm.runtime import Detail
from vmfm.runtime.bundle import DETAILS

ENOUGH_SECONDS = 1 / ENOUGH_FPS


class Computer:
    """Takes `fine_seconds` for a frame at fine, and less in proportion at less; `fixed_seconds` go beside the nets."""

    def __init__(self, fine_seconds: float, fixed_seconds: float = 0.0) -> None:
        self.fine_seconds, self.fixed_seconds, self.now = fine_seconds, fixed_seconds, 0.0

    def run(self, pace: Pace, frames: int) -> list[Detail]:
        seen = []
        for _ in range(frames):
            seen.append(pace.detail)
            seconds = self.fixed_seconds + self.fine_seconds * DETAILS[pace.detail]
            self.now += seconds
            pace.add(seconds)
        return seen


def test_a_quick_computer_soon_looks_as_closely_as_can_be() -> None:
    computer = Computer(0.01)
    pace = Pace(clock=lambda: computer.now)
    computer.run(pace, 30)
    assert pace.detail == "fine"


def test_a_slow_computer_stays_fast() -> None:
    computer = Computer(1.0)
    pace = Pace(clock=lambda: computer.now)
    assert set(computer.run(pace, 200)) == {"fast"}


def test_what_no_longer_keeps_up_is_given_up_and_tried_again_later() -> None:
    computer = Computer(0.01)
    pace = Pace(clock=lambda: computer.now)
    computer.run(pace, 30)
    computer.fine_seconds = 0.08  # something else wants the computer
    computer.run(pace, 100)
    assert pace.detail == "balanced"
    computer.fine_seconds = 0.01
    computer.run(pace, 60)
    assert pace.detail == "balanced"  # it might have been a passing moment: no flipping to and fro
    computer.now += 60
    computer.run(pace, 60)
    assert pace.detail == "fine"


def test_a_detail_that_was_asked_for_stays() -> None:
    computer = Computer(9.0)
    pace = Pace("fine")
    assert set(computer.run(pace, 50)) == {"fine"}
    pace.back_off()
    assert pace.detail == "fine"


def test_a_slow_camera_leaves_more_time() -> None:
    computer = Computer(0.15)
    pace = Pace(camera_fps=5, clock=lambda: computer.now)
    computer.run(pace, 40)
    assert pace.detail == "fine"


@pytest.mark.parametrize("detail", [*DETAILS])
def test_a_detail_that_does_not_work_makes_room_for_a_coarser_one(detail: Detail) -> None:
    pace = Pace()
    pace.detail = detail
    pace.back_off()
    coarser = [name for name in DETAILS if DETAILS[name] < DETAILS[detail]]
    assert pace.detail == (coarser[-1] if coarser else "fast")


@given(st.floats(0.001, 2.0), st.floats(0.0, 0.04))
def test_it_settles_at_what_keeps_up(fine_seconds: float, fixed_seconds: float) -> None:
    computer = Computer(fine_seconds, fixed_seconds)
    pace = Pace(clock=lambda: computer.now)
    first = computer.run(pace, 100)
    last = computer.run(pace, 100)
    assert len(set(last)) == 1  # no changes once it has settled
    assert last[0] == "fast" or fixed_seconds + fine_seconds * DETAILS[last[0]] <= ENOUGH_SECONDS
    assert first.index(last[0]) <= 60
