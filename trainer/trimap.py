"""Pseudo-trimaps (appendix A.2 of the paper): what a trimap matting method needs, for photos that have none.

The person comes from a segmentation net, the object from a circle that somebody drew round it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.files import write_whole
from vmfm.trainer.images import encode, read, read_grey

FOREGROUND, UNKNOWN, BACKGROUND = 255, 128, 0
SURE_PERSON = 0.95  # a person probability above this is foreground
SURE_BACKGROUND = 0.05  # and one below this background
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}

Segmenter = Callable[[np.ndarray], np.ndarray]


def pseudo_trimap(person: np.ndarray, object_area: np.ndarray | None = None) -> np.ndarray:
    """The trimap of one picture, uint8 (H, W): 255 foreground, 128 unknown, 0 background.

    person: (H, W), the probability that a pixel is person, float in [0, 1] or uint8. object_area: (H, W) bool, where
    the objects may be; all of it that is not surely person becomes unknown. Raises TrainerError on other arrays.
    """
    if person.ndim != 2 or not (person.dtype == np.uint8 or np.issubdtype(person.dtype, np.floating)):
        raise TrainerError(f"the person probability is {person.dtype} {person.shape}; give float or uint8 (H, W)")
    probability = person / 255 if person.dtype == np.uint8 else person
    unknown = (probability >= SURE_BACKGROUND) & (probability <= SURE_PERSON)
    if object_area is not None:
        if object_area.shape != person.shape:
            raise TrainerError(f"the object area is {object_area.shape} and the person {person.shape}; they must match")
        unknown |= object_area.astype(bool)
    trimap = np.full(person.shape, BACKGROUND, np.uint8)
    trimap[unknown] = UNKNOWN
    trimap[probability > SURE_PERSON] = FOREGROUND
    return trimap


def filled(outline: np.ndarray) -> np.ndarray:
    """Bool (H, W): what a drawn outline encloses, with the outline itself; a mask that is full already stays so."""
    contours, _ = cv2.findContours((outline > 0).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros(outline.shape, np.uint8), contours, -1, 1, cv2.FILLED).astype(bool)


def write_trimaps(
    pictures: Path, out: Path, *, objects: Path | None = None, segment: Segmenter | None = None
) -> Iterator[Path]:
    """Write ``out/NAME.png`` for every picture of a folder and yield it.

    pictures: photos where ``segment`` is given (frame (H, W, 3) uint8 RGB -> person probability (H, W)), else maps of
    the person probability, grey. objects: a folder of NAME.png, the objects circled by hand; not every picture needs
    one. Raises TrainerError before anything is written where a circle belongs to no picture.
    """
    files = images_of(pictures)
    circles = images_of(objects) if objects is not None else {}
    if strays := sorted(set(circles) - set(files)):
        raise TrainerError(f"{objects} has {circles[strays[0]].name}, but {pictures} has no picture of that name")
    for name, file in files.items():
        if segment is None:
            person = read_grey(file)
        else:
            person = segment(read(file))
        area = filled(read_grey(circles[name])) if name in circles else None
        try:
            trimap = pseudo_trimap(person, area)
        except TrainerError as error:
            raise TrainerError(f"{name}: {error}") from error
        target = out / f"{name}.png"
        write_whole(target, encode(trimap, ".png"))
        yield target


def images_of(folder: Path) -> dict[str, Path]:
    """The images of a folder by stem, sorted. Raises TrainerError where there is none, or two of one stem."""
    if not folder.is_dir():
        raise TrainerError(f"there is no folder {folder}")
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith("."):
            if file.stem in files:
                raise TrainerError(f"{folder} has both {files[file.stem].name} and {file.name}; keep one")
            files[file.stem] = file
    if not files:
        raise TrainerError(f"{folder} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return files


def segmenter(checkpoint: Path, long_side_px: int = 512) -> Segmenter:
    """The segmentation net of a training run, as a function from a frame to the person probability at its size."""
    import torch
    from torch.nn.functional import interpolate
    from vmfm.trainer.checkpoint import load_model

    net = load_model(checkpoint)[0].segmentation

    @torch.inference_mode()
    def segment(frame: np.ndarray) -> np.ndarray:
        height, width = frame.shape[:2]
        scale = long_side_px / max(height, width)
        size = [max(32, round(side * scale / 32) * 32) for side in (height, width)]  # the nets halve five times
        image = torch.from_numpy(frame).permute(2, 0, 1)[None] / 255
        small = interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)
        probability = interpolate(net(small), (height, width), mode="bilinear", align_corners=False)
        return probability[0, 0].numpy()

    return segment
