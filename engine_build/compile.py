"""Bundle -> engines: every net rewritten to fp16, compiled by a TensorRT, kept in the engine cache.

Engines are not shipped with the bundles. They are good for one exact version of TensorRT, so that the next upgrade would
turn them into dead weight; for RTX cards since compute capability 8.0 they take 55 MB for `lite`, three and a half times the
bundle, in a file that all these cards share; and building them takes some ten seconds, once.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmfm.engine_build.errors import BuildError
from vmfm.engine_build.half import to_half
from vmfm.runtime.backends.tensorrt_flavor import Flavor
from vmfm.runtime.bundle import Bundle
from vmfm.runtime.engines import OLDEST_STATIC, RECIPE, EngineCache, EngineKey, Profile, tensor_shape
from vmfm.runtime.graph import NETS, Node

RTX_CARDS = (75, 86, 89, 120)  # GeForce RTX 20, 30, 40 and 50

# Fills an empty network: library, network, log, bundle, net.
Converter = Callable[[Any, Any, Any, Bundle, Node], object]


@dataclass(frozen=True)
class Built:
    """One engine in the cache. reason: why it had to be built, "" if it was there already."""

    key: EngineKey
    file: Path
    nbytes: int
    seconds: float
    reason: str


def build_engines(
    bundle: Bundle,
    flavor: Flavor,
    capabilities: Sequence[int],
    cache: EngineCache,
    *,
    device: str = "",
    converter: "Converter | None" = None,
    on_engine: Callable[[EngineKey, str], None] = lambda key, reason: None,
    on_built: Callable[[Built], None] = lambda built: None,
) -> list[Built]:
    """Makes sure that the cache has every engine of a bundle for these GPUs. A sound one is kept as it is.

    on_engine is told each engine that has to be built, and why, before; on_built each one that is there, after.
    Another process that builds the same engine is waited for. Raises BuildError, or BackendError for the cache.
    """
    results = []
    for group in group_capabilities(capabilities):
        for node in NETS:
            recipe = getattr(converter, "recipe", RECIPE)
            key = EngineKey.of(bundle, node, flavor.name, flavor.version, group, device, recipe)
            with cache.lock(key):
                reason, start = cache.problem(key), time.perf_counter()
                if reason:
                    on_engine(key, reason)
                    cache.store(key, build_engine(bundle, node, flavor, key, converter or from_onnx))
                seconds = time.perf_counter() - start
            file = cache.engine_file(key)
            results.append(Built(key, file, file.stat().st_size, seconds, reason))
            on_built(results[-1])
    return results


def group_capabilities(capabilities: Sequence[int]) -> list[tuple[int, ...]]:
    """Which GPUs share an engine: all since 8.0 at no cost in size, older ones none, as they carry code of their own."""
    wanted = sorted(set(capabilities))
    shared = tuple(capability for capability in wanted if capability >= OLDEST_STATIC)
    alone: list[tuple[int, ...]] = [(capability,) for capability in wanted if capability < OLDEST_STATIC]
    return [*alone, shared] if shared else alone


def build_engine(bundle: Bundle, node: Node, flavor: Flavor, key: EngineKey, converter: Converter) -> bytes:
    """One engine. Raises BuildError with what TensorRT says."""
    library, log = flavor.library, flavor.log()
    try:
        builder = library.Builder(log)
        # Strong typing: the network's own types are the engine's. From TensorRT 11 on there is nothing else.
        network = builder.create_network(1 << int(library.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        config = builder.create_builder_config()
        config.clear_flag(library.BuilderFlag.TF32)  # which would round what is fp32 for a reason
        flavor.aim(config, key.capabilities)
        owner = converter(library, network, log, bundle, node)  # what the network's weights may point into
        for profile in key.profiles:
            config.add_optimization_profile(_profile(builder, node, profile))
        engine = builder.build_serialized_network(network, config)
        del owner
    except (RuntimeError, TypeError) as error:  # what TensorRT raises, e.g. without a driver it needs
        raise BuildError(_failure(node, flavor, [*log.errors, str(error)])) from error
    if engine is None:
        raise BuildError(_failure(node, flavor, log.errors))
    return bytes(engine)


def from_onnx(library: Any, network: Any, log: Any, bundle: Bundle, node: Node) -> object:
    """Reads the bundle's ONNX file, rewritten to fp16, into the network."""
    parser = library.OnnxParser(network, log)
    if not parser.parse(to_half(bundle.net_path(node.name).read_bytes(), node.name)):
        errors = "; ".join(parser.get_error(index).desc() for index in range(parser.num_errors))
        raise BuildError(f"TensorRT cannot read the net {node.name!r}: {errors}")
    return parser


def _profile(builder: Any, node: Node, profile: Profile) -> Any:
    made = builder.create_optimization_profile()
    for name in node.reads:
        made.set_shape(name, *(tensor_shape(name, size) for size in (profile.low, profile.best, profile.high)))
    return made


def _failure(node: Node, flavor: Flavor, messages: Sequence[str]) -> str:
    said = "; ".join(dict.fromkeys(message for message in messages if message)) or "nothing"
    return f"{flavor.label} cannot build the engine of {node.name!r}; it says: {said}"
