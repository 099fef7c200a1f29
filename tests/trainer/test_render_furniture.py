"""Rooms with nobody in them: drawn from seeds, put together, and written as things that the trainer pastes behind people."""

import json
from collections import Counter

import numpy as np
import pytest
from vmfm.trainer.cli import render
from vmfm.trainer.data.folders import samples
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.render.catalogue import library
from vmfm.trainer.render.cutouts import make_cutout, write_cutout
from vmfm.trainer.render.export import Rejected
from vmfm.trainer.render.furnish import NEAREST, Furnished, furnish
from vmfm.trainer.render.furniture import draw_room, furniture
from vmfm.trainer.render.passes import Passes
from vmfm.trainer.render.performer import Unposable

SIZE = 64
CREDIT = {"file": "procedural/x", "label": "x", "creator": "generated", "licence": "CC0 1.0"}


def procedural_rooms(count: int) -> list[Furnished]:
    """Of things that need no assets."""
    rooms = []
    for seed in range(count):
        for attempt in range(12):
            try:
                rooms.append(furnish(draw_room(seed, 0, attempt, available=()), None))  # type: ignore[arg-type]
                break
            except Unposable:
                continue
    return rooms


@pytest.fixture(scope="module")
def rooms() -> list[Furnished]:
    return procedural_rooms(50)


def a_room_with(rooms: list[Furnished], place: str) -> list[tuple[Furnished, int]]:
    """Rooms and the numbers of their further pieces at that place."""
    found = []
    for room in rooms:
        numbers = {int(item.name.split(".")[0][1:]): i for i, item in enumerate(room.items)}
        found += [
            (room, numbers[n])
            for n, piece in enumerate(room.scene.pieces)
            if n in numbers and n and piece.place == place
        ]
    assert found
    return found


def test_a_seed_gives_the_same_room_again():
    assert draw_room(7, 1, 2) == draw_room(7, 1, 2)
    assert draw_room(7) != draw_room(7, 1) != draw_room(7, 0, 1)
    assert draw_room(3).pieces[0].thing == "leather_sofa"  # in every process, whatever the seed of its hashes


def test_every_kind_of_furniture_is_shown_and_sofas_most():
    kinds = Counter(draw_room(seed).pieces[0].kind for seed in range(1500))
    assert set(kinds) == {thing.cls for thing in furniture()}
    assert kinds.most_common(1)[0][0] == "sofa"


def test_rooms_show_nothing_that_is_held_out():
    held_out = {thing.name for thing in library() if thing.held_out}
    assert not {piece.thing for seed in range(1500) for piece in draw_room(seed).pieces} & held_out


def test_procedural_furniture_alone_is_enough(rooms):
    assert len(rooms) > 40
    assert all(piece.thing.startswith("shape:") for room in rooms for piece in room.scene.pieces)


def test_the_camera_is_at_eye_height_and_nothing_touches_it(rooms):
    for room in rooms:
        assert 1.0 <= room.camera.position[2] <= 1.6
        assert room.camera.sees(room.items[0].points(), 0.0).mean() > 0.15
        assert room.camera.axes.T @ room.camera.axes == pytest.approx(np.eye(3), abs=1e-9)
        assert np.linalg.det(room.camera.axes) == pytest.approx(1)
        for item in room.items:
            assert np.linalg.norm(item.vertices - room.camera.position, axis=1).min() > 0.5 * NEAREST


def test_furniture_stands_on_the_floor_and_cushions_on_seats(rooms):
    for room in rooms:
        assert room.scene.pieces[0].place == "wall" or room.items[0].vertices[:, 2].min() == pytest.approx(0, abs=1e-6)
    for room, number in a_room_with(rooms, "seat"):
        seat, cushion = room.items[0].vertices, room.items[number].vertices
        assert cushion[:, 2].min() > 0.3
        assert (cushion.mean(0)[:2] > seat.min(0)[:2]).all() and (cushion.mean(0)[:2] < seat.max(0)[:2]).all()
    for room, number in a_room_with(rooms, "aside"):
        first, other = (room.items[i].vertices[:, 0] for i in (0, number))
        assert other.min() > first.max() or other.max() < first.min()


def disc(centre: tuple[float, float]) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE]
    return np.clip((18 - np.hypot(x - centre[0], y - centre[1])) / 4, 0, 1).astype(np.float32)


def passes(room: Furnished, alpha: np.ndarray) -> Passes:
    nothing = np.zeros_like(alpha)
    coverage = {item.name: nothing for item in room.items} | {room.items[0].name: alpha}
    colour = alpha[..., None] * np.array((0.5, 0.2, 0.1), np.float32)
    return Passes(colour, alpha, np.where(alpha > 0, 2, 1e10).astype(np.float32), coverage)


def cutout_of(room: Furnished, alpha: np.ndarray):
    credits = {item.thing.name: CREDIT for item in room.objects()}
    return make_cutout(passes(room, alpha), room, credits, {"hdri": "a.exr", "extra": []})


def test_a_cutout_is_what_the_reader_of_training_data_wants(rooms, tmp_path):
    write_cutout(cutout_of(rooms[0], disc((32, 32))), tmp_path, "000070")
    (read,) = samples("things", tmp_path)
    assert read.cutout and read.grip is None
    written = (disc((32, 32)) * 255 + 0.5).astype(np.uint8)
    np.testing.assert_array_equal(read.alpha[read.alpha > 0], written[written > 0])
    facts = json.loads((tmp_path / "000070.json").read_text())
    assert facts["objects"] == [{"name": rooms[0].items[0].name, "cls": rooms[0].items[0].thing.cls, **CREDIT}]


def test_colours_of_soft_edges_are_those_of_the_thing(rooms):
    cutout = cutout_of(rooms[0], disc((32, 32)))
    assert np.ptp(cutout.rgb.reshape(-1, 3), axis=0).max() <= 1, "one colour, inside and outside"
    assert cutout.rgb[0, 0].min() > 0


def test_a_margin_shows_where_the_picture_does_not_cut_it_off(rooms):
    whole, cut_off = (cutout_of(rooms[0], disc(centre)).alpha for centre in ((32, 32), (32, 60)))
    for side in (whole[0], whole[-1], whole[:, 0], whole[:, -1], cut_off[0]):
        assert not side.any()
    assert cut_off[-1].max() == 255
    assert whole.shape[0] < SIZE


def test_pictures_of_next_to_nothing_are_rejected(rooms):
    speck = np.zeros((SIZE, SIZE), np.float32)
    speck[30:33, 30:33] = 1
    with pytest.raises(Rejected, match="furniture fills"):
        cutout_of(rooms[0], speck)


def test_furniture_makes_no_clips(tmp_path):
    with pytest.raises(TrainerError, match="--furniture and --clip"):
        render(out=tmp_path, furniture=True, clip=5)
