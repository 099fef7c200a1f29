"""`vmfm build`: which engines are wanted, and telling how it goes."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from vmfm.engine_build.compile import RTX_CARDS, Built, Converter, build_engines, from_onnx, group_capabilities
from vmfm.engine_build.errors import BuildError
from vmfm.runtime.backends.tensorrt_flavor import Flavor, open_flavor
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.engines import EngineCache
from vmfm.runtime.gpus import Gpus, find_gpus
from vmfm.runtime.graph import NETS

CONVERTERS = ("onnx", "torch2trt")


def build_and_tell(
    bundle_name: str, flavor_name: str, gpu: str, out: Path | None, converter: str, checkpoint: Path | None
) -> None:
    """Builds what is missing and prints what is there. Raises BuildError, BundleError or BackendError."""
    bundle, flavor = Bundle.open(bundle_name), open_flavor(flavor_name)
    gpus = find_gpus()
    capabilities, device = choose_gpus(gpu, flavor, gpus)
    cache = EngineCache(out)
    console = Console(stderr=True)
    count = len(NETS) * len(group_capabilities(capabilities))
    console.print(
        f"{flavor.label}: {bundle.name} for {names(capabilities)}, {count} engines in {cache.folder}", highlight=False
    )
    with console.status("looking at what is there") as status:
        built = build_engines(
            bundle,
            flavor,
            capabilities,
            cache,
            device=device,
            converter=choose_converter(converter, checkpoint),
            on_engine=lambda key, reason: status.update(f"{key.net} for {names(key.capabilities)}: {reason}; building"),
            on_built=partial(_tell, console),
        )
    console.print(_sum_up(built), highlight=False)


def choose_gpus(wanted: str, flavor: Flavor, gpus: Gpus) -> tuple[tuple[int, ...], str]:
    """The compute capabilities to build for, and the GPU's name where engines are tuned to the very GPU.

    wanted: auto, all, or a list like "sm86,sm89". Raises BuildError for what this flavor cannot build for, or not here.
    """
    here = tuple(sorted({gpu.capability for gpu in gpus.devices}))
    known = flavor.capabilities
    if known is None:
        if not gpus.devices:
            raise BuildError(
                f"{flavor.label} builds on the GPU it builds for, and there is none: {gpus.problem}; "
                "build there, or use --flavor rtx, which needs none"
            )
        first = gpus.devices[0]
        if wanted != "auto" and (wanted == "all" or parse_gpus(wanted) != (first.capability,)):
            raise BuildError(f"{flavor.label} builds for the GPU here alone, {first.name} (sm{first.capability})")
        return (first.capability,), first.name
    fallback = tuple(capability for capability in RTX_CARDS if capability in known)
    chosen = (here or fallback) if wanted == "auto" else fallback if wanted == "all" else parse_gpus(wanted)
    if unknown := [capability for capability in chosen if capability not in known]:
        raise BuildError(
            f"{flavor.label} does not build for {names(unknown)}, only for {names(known)}; "
            "for other GPUs there is --flavor tensorrt, and the torch backend needs no engines"
        )
    return tuple(chosen), ""


def parse_gpus(text: str) -> tuple[int, ...]:
    """(86, 89) from "sm86,sm89", "86,89" or "8.6,8.9". Raises BuildError."""
    numbers = [part.strip().lower().removeprefix("sm").removeprefix("_").replace(".", "") for part in text.split(",")]
    if not all(number.isdecimal() and len(number) in (2, 3) for number in numbers):
        raise BuildError(f"--gpu {text!r} is not understood: wanted auto, all, or a list like sm86,sm89")
    return tuple(sorted({int(number) for number in numbers}))


def choose_converter(name: str, checkpoint: Path | None) -> Converter:
    """What fills a network. Raises BuildError for an unknown one, or one that cannot work here."""
    if name not in CONVERTERS:
        raise BuildError(f"no converter {name!r}; there are: {', '.join(CONVERTERS)}")
    if name == "onnx":
        return from_onnx
    from vmfm.engine_build.torch2trt_converter import Torch2TrtConverter

    return Torch2TrtConverter(checkpoint)


def names(capabilities: Sequence[int]) -> str:
    """For people: "sm86+sm89"."""
    return "+".join(f"sm{capability}" for capability in capabilities)


def _tell(console: Console, built: Built) -> None:
    what = f"{built.key.net} for {names(built.key.capabilities)}, {built.nbytes / 1e6:.1f} MB"
    done = f"{built.reason}; built in {built.seconds:.1f} s" if built.reason else "there already"
    console.print(f"{what}: {done}", highlight=False)


def _sum_up(built: Sequence[Built]) -> str:
    megabytes, seconds = sum(one.nbytes for one in built) / 1e6, sum(one.seconds for one in built)
    fresh = sum(bool(one.reason) for one in built)
    return f"{len(built)} engines, {megabytes:.1f} MB; {fresh} of them built, in {seconds:.1f} s"
