"""Labels and cut-outs from another program's mattes, only where what is known of a photo vouches for them.

A large salient-object net draws arms, straps and racket strings as no polygon does, but knows neither who is a person nor
what is held. Masks and boxes of people know that: a piece of the matte that fills one is kept with all that hangs
together with it, other pieces and grey haze are left unknown, and a photo whose person the matte misses teaches nothing.
A thing that the matte leaves out may be held all the same, but a sofa is not.

Reads PHOTOS/images/NAME.jpg, PHOTOS/interactions.json, if at hand PHOTOS/person/NAME.png, and MATTES/NAME.png. Writes

    OUT/labels/NAME.png      hints for `people` and `unlabelled`: alpha, UNKNOWN where nobody vouches for it
    OUT/cutouts/NAME.webp    RGBA of those that can be laid over anything, a folder of kind `cutouts`
    OUT/index.json           what became of every photo
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from vmfm.trainer.data.cutouts import WRITE_EVERY, border_share, read_json, to_rgba, write_json, write_webp
from vmfm.trainer.data.folders import UNKNOWN, grey_if_there
from vmfm.trainer.data.interactions import FURNITURE, Box
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.files import write_whole
from vmfm.trainer.images import encode, read, read_grey

SURE = 0.9  # foreground above it, background below 1 - SURE; what lies between is the outline, or doubt
REACH = 0.012  # of the photo's longer side: how wide an outline may be, and how far doubt spreads
SEEN = 0.93  # mean matte over the inside of a person's mask
PIECE = 0.02  # of a person's mask: a smaller overlap does not make a piece the person's
FILLED = 0.3  # of a box: less is not whom or what the box shows
TALL = 0.85  # of a box's height: likewise
PRESENT = 0.2  # of a thing's box, without the person: less, and the matte has left the thing out
MOST_ELSE = 1.0  # things may be as large as the people; more is furniture or a scene
MOST_BORDER = 0.08  # of the photo's top, left and right edge may cut a cut-out
MOST_HAZE, MOST_LOST = 0.06, 0.12  # of a cut-out's area: grey, or unknown beside it
SMALLEST = 0.03  # of the photo, a cut-out
CORE_PX, AROUND_PX = 3, 5  # inside of a mask; what a cut-out keeps of the matte round its label
QUALITY = 90


class NotVouchedError(TrainerError):
    """Nothing can be learnt from this matte, or it makes no cut-out; says why in two or three words."""


def vouched(
    matte: np.ndarray, people: Sequence[Box], things: Sequence[Box] = (), person: np.ndarray | None = None
) -> np.ndarray:
    """The matte as a label, uint8 (H, W): alpha, or UNKNOWN.

    matte: uint8 (H, W). people, things that may be held: boxes, x, y, width, height in pixels. person: uint8 (H, W), the mask of whom the
    first box shows, where there is one. Raises NotVouchedError.
    """
    near = _disc(max(2, round(REACH * max(matte.shape))))
    count, pieces = cv2.connectedComponents((matte >= 128).astype(np.uint8), connectivity=8)
    kept, unseen = _who_is_seen(matte, pieces, count, people, person)
    if not kept:
        raise NotVouchedError("nobody seen")
    label = np.where(matte == UNKNOWN, UNKNOWN - 1, matte)
    mine = np.isin(pieces, list(kept))
    inside = np.zeros(matte.shape, bool) if person is None else _spread(person > 127, near)
    for box in people if person is None else people[1:]:
        inside[_window(box)] = True
    if (mine & ~inside).sum() > MOST_ELSE * (mine & inside).sum():
        raise NotVouchedError("mostly other things")
    label[_haze(matte, near) | _spread((pieces > 0) & ~mine, near)] = UNKNOWN
    for window in unseen:
        _forget_background(label[window])
    for box in things:
        window = _window(box, margin=0.05)
        there = label[window] > UNKNOWN
        if person is not None:
            there &= person[window] < 128
        if there.mean() < PRESENT:  # a thing that the matte leaves out may be held all the same
            _forget_background(label[window])
    if person is not None:
        label[_core(person) & (label < 200)] = UNKNOWN
    return label


def cut_out(photo: np.ndarray, matte: np.ndarray, label: np.ndarray) -> np.ndarray:
    """RGBA uint8 (H, W, 4), un-premultiplied clean colours, of what a label keeps of its matte.

    Raises NotVouchedError where too much of it is cut off by the photo's border, is haze, is unknown beside it, or where it is small.
    """
    from pymatting import estimate_foreground_ml

    foreground = label > UNKNOWN
    alpha = np.where(_spread(foreground, np.ones((2 * AROUND_PX + 1,) * 2, np.uint8)), matte, 0).astype(np.uint8)
    area, unknown = int(foreground.sum()), label == UNKNOWN
    if area < SMALLEST * label.size:
        raise NotVouchedError("small")
    if border_share(alpha > 127) > MOST_BORDER:
        raise NotVouchedError("cut by the border")
    haze = unknown & (alpha > 40) & (alpha < 215)
    lost = unknown & (matte > 128) & _spread(foreground, _disc(round(3 * REACH * max(matte.shape))))
    if haze.sum() > MOST_HAZE * area or lost.sum() > MOST_LOST * area:
        raise NotVouchedError("in doubt")
    colours = estimate_foreground_ml(photo / 255.0, alpha / 255.0)
    return to_rgba(np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8), alpha / 255.0)


def vouch_folder(
    folder: Path,
    mattes: Path,
    out: Path,
    *,
    progress: Callable[[int, int, str], None] = lambda done, total, name: None,
) -> dict[str, int]:
    """Labels and cut-outs of every photo of `folder` that has a matte; what stands in the index is done.

    Counts "labels", "cutouts" and why there are no more. Raises TrainerError where there is nothing to read.
    """
    entries = read_json(folder / "interactions.json").get("images", {})
    names = sorted(path.stem for path in mattes.glob("*.png") if path.stem in entries)
    if not names:
        raise TrainerError(f"no matte in {mattes} is of a photo of {folder}; name them NAME.png like images/NAME.jpg")
    for kind in ("labels", "cutouts"):
        (out / kind).mkdir(parents=True, exist_ok=True)
    verdicts: dict[str, list[str]] = read_json(out / "index.json")
    for done, name in enumerate(names, start=1):
        if name not in verdicts:
            verdicts[name] = _vouch_photo(folder, mattes, out, name, entries[name])
        if done % WRITE_EVERY == 0 or done == len(names):
            write_json(out / "index.json", verdicts)
        progress(done, len(names), name)
    return dict(Counter(word for verdict in verdicts.values() for word in verdict))


def _vouch_photo(folder: Path, mattes: Path, out: Path, name: str, entry: dict) -> list[str]:
    photo, matte = read(folder / "images" / f"{name}.jpg"), read_grey(mattes / f"{name}.png")
    if matte.shape != photo.shape[:2]:
        raise TrainerError(f"{mattes / name}.png is {matte.shape}, its photo {photo.shape[:2]}; wanted the same size")
    for kind, suffix in (("labels", "png"), ("cutouts", "webp")):  # of an older matte
        (out / kind / f"{name}.{suffix}").unlink(missing_ok=True)
    person = grey_if_there(folder / "person", name)
    people = [each["box"] for each in entry["persons"]]
    things = [each["box"] for each in entry["objects"] if each["cls"] not in FURNITURE]
    verdict = []
    try:
        label = vouched(matte, people, things, person)
        write_whole(out / "labels" / f"{name}.png", encode(label, ".png"))
        verdict.append("labels")
        write_webp(out / "cutouts" / f"{name}.webp", cut_out(photo, matte, label), QUALITY)
        verdict.append("cutouts")
    except NotVouchedError as why:
        verdict.append(str(why))
    return verdict


def _who_is_seen(
    matte: np.ndarray, pieces: np.ndarray, count: int, people: Sequence[Box], person: np.ndarray | None
) -> tuple[set[int], list[tuple[slice, slice]]]:
    """The pieces that are people, and the boxes of those whom the matte leaves out."""
    kept: set[int] = set()
    if person is not None:
        core = _core(person)
        if not core.any() or matte[core].mean() < SEEN * 255:
            raise NotVouchedError("misses the person")
        shares = np.bincount(pieces[person > 127], minlength=count)
        kept |= set(np.flatnonzero(shares > PIECE * (person > 127).sum()).tolist()) - {0}
        people = people[1:]
    unseen = []
    for box in people:
        window = _window(box)
        part = pieces[window]
        shares = np.bincount(part.ravel(), minlength=count)
        shares[0] = 0
        most = int(shares.argmax())
        rows = np.flatnonzero((part == most).any(1)) if shares[most] else np.zeros(1)
        if shares[most] > FILLED * part.size and rows[-1] - rows[0] > TALL * part.shape[0] - 1:
            kept.add(most)
        else:
            unseen.append(window)
    return kept, unseen


def _haze(matte: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Where the matte is grey without being an outline, and what is near that."""
    foreground, background = matte >= SURE * 255, matte <= (1 - SURE) * 255
    outline = _spread(foreground, near) & _spread(background, near)
    return _spread(~foreground & ~background & ~outline, near)


def _forget_background(label: np.ndarray) -> None:
    """In place: what is not foreground is unknown."""
    label[label < UNKNOWN] = UNKNOWN


def _window(box: Box, margin: float = 0.0) -> tuple[slice, slice]:
    x, y, w, h = box
    left, top = max(0, int(x - margin * w)), max(0, int(y - margin * h))
    return slice(top, int(y + (1 + margin) * h) + 1), slice(left, int(x + (1 + margin) * w) + 1)


def _core(mask: np.ndarray) -> np.ndarray:
    return cv2.erode(mask, np.ones((2 * CORE_PX + 1,) * 2, np.uint8)) > 127


def _disc(px: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * px + 1, 2 * px + 1))


def _spread(mask: np.ndarray, near: np.ndarray) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), near) > 0
