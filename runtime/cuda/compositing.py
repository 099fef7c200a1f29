"""The operations `blur` and `composite` as launches of our kernels, for whoever names the arrays that they work on."""

from collections.abc import Callable

from vmfm.runtime.blur import FAINT, LEAST_RADIUS_PX, PURE_BACKGROUND, blur_radius, blur_work
from vmfm.runtime.composite import average_radii, work_size
from vmfm.runtime.cuda.launch import Launch
from vmfm.runtime.graph import Over
from vmfm.runtime.preprocess import halvings

# A kernel's name, extent and arguments, arrays by name; see Operations.
Prepare = Callable[..., Launch]


def prepare_blur(prepare: Prepare, size: tuple[int, int], over: Over) -> tuple[Launch, ...]:
    """blur_background() of runtime/blur.py for frames of a size (H, W)."""
    radius = blur_radius(size[0], over.radius_px)
    (h, w), sigma = blur_work(size, radius)
    blurs = radius >= LEAST_RADIUS_PX
    pure = PURE_BACKGROUND if blurs else 1.0  # else everything is kept as it is
    return (
        prepare("leave_out_foreground", (w, h), "frame", "alpha", *size, "behind", h, w, pure, float(FAINT)),
        *(blur_planes(prepare, "behind", "behind_blurring", (h, w), 4, round(sigma * 4), sigma) if blurs else ()),
        prepare("enlarge_background", size[::-1], "behind", h, w, "background", *size),
    )


def prepare_composite(prepare: Prepare, size: tuple[int, int], over: Over) -> tuple[Launch, ...]:
    """composite() of runtime/composite.py for frames of a size (H, W)."""
    h, w = work_size(size)
    wide, narrow = average_radii((h, w))
    halved = halvings(size, (h, w))
    pixels = ("frame", "alpha", "background", "planes", h, w, "picture", *size, int(over.linear))
    return (
        prepare("weigh_wide", (w, h), "frame", "alpha", *size, "small", "planes", h, w, halved),
        *blur_planes(prepare, "planes", "blurring", (h, w), 8, wide, 0.0),
        prepare("weigh_narrow", (h * w,), "small", "planes", h * w),
        *blur_planes(prepare, "planes", "blurring", (h, w), 8, narrow, 0.0),
        prepare("settle", (h * w, 1, 2), "planes", h * w, block=(256, 1, 1)),
        prepare("composite", size[::-1], *pixels),
    )


def blur_planes(
    prepare: Prepare, planes: str, through: str, size: tuple[int, int], count: int, radius: int, sigma: float
) -> tuple[Launch, ...]:
    """Blurs planes, (count, h, w), in place by way of another array like it: sums over boxes, or a Gaussian (sigma > 0)."""
    h, w = size
    return (
        prepare("blur_rows", (w, h, count), planes, through, h, w, radius, sigma),
        prepare("blur_columns", (w, h, count), through, planes, h, w, radius, sigma),
    )
