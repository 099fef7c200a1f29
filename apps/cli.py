"""The verbs of the apps: what they take and what they print. The work is imported when a verb runs."""

from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

_Details = Literal["fast", "balanced", "fine"]  # those of vmfm.runtime, which is imported when a verb runs
_Bundle = Annotated[str, typer.Option(help="lite (any CPU), full (the paper's size), or the folder of a bundle.")]
_Backend = Annotated[
    str, typer.Option(help="What runs the nets: tensorrt, torch, cpu or cpu-f32; auto takes the best that works here.")
]
_Detail = Annotated[
    _Details,
    typer.Option(help="At how many pixels the nets look: fast takes a third of fine's time."),
]


def recomposite(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="Videos, images, folders of either, or numbered images as one video: frame_%04d.png.",
            show_default=False,
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            help="The result: a file, numbered images (OUT_%04d.png), or a folder for several inputs.",
            show_default=False,
        ),
    ] = None,
    background: Annotated[
        str | None,
        typer.Option(
            help="An image, a video (looped), #RRGGBB, blur or blur:RADIUS in pixels. Without it the result is the "
            "foreground on transparency: .png, .tif, .exr for images; .mov (ProRes 4444), .webm (VP9), .mkv (FFV1) or "
            "numbered images for videos.",
            show_default=False,
        ),
    ] = None,
    alpha: Annotated[
        str | None,
        typer.Option(
            help="Also write the alpha mattes: DIR/ gets PNGs named by frame number or after the image, NAME_%04d.png or "
            ".exr numbered ones; a grey video is lossless as .mkv, 10 bits as .mov, H.264 as .mp4, VP9 as .webm.",
            show_default=False,
        ),
    ] = None,
    deviation: Annotated[
        str | None,
        typer.Option(
            help="Also write where the nets are unsure (white = look here), like --alpha.", show_default=False
        ),
    ] = None,
    bundle: _Bundle = "lite",
    detail: _Detail = "fine",
    backend: _Backend = "auto",
    linear: Annotated[
        bool, typer.Option("--linear", help="Blend light, as a lens does, instead of sRGB values.")
    ] = False,
    no_audio: Annotated[bool, typer.Option("--no-audio", help="Leave the sound out instead of copying it.")] = False,
    salvage: Annotated[
        bool, typer.Option("--salvage", help="Keep what can be decoded of a damaged video instead of giving up.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that exist.")] = False,
    start: Annotated[
        str | None,
        typer.Option(help="Leave out what is before: seconds or HH:MM:SS.sss, to the frame.", show_default=False),
    ] = None,
    duration: Annotated[
        str | None, typer.Option(help="How long to go on from there. Sound is cut likewise.", show_default=False)
    ] = None,
    sequence: Annotated[
        bool, typer.Option("--sequence", help="A folder's images are the frames of one video.")
    ] = False,
    fps: Annotated[str, typer.Option(help="Of image sequences: 25, 23.976, 24000/1001.")] = "25",
    codec: Annotated[
        str | None,
        typer.Option(
            help="Of the result: h264, hevc, av1, vp9, prores or ffv1. By default what its name suggests.",
            show_default=False,
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=51,
            help="Of h264, hevc, av1 and vp9: 0 is best, 51 smallest, as a CRF. [default: 18, 20, 28, 24]",
            show_default=False,
        ),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(
            help="8, 10 or 16 bits per channel, or the next lower that the format has. Mattes really have them; colours "
            "pass through 8 bits, whatever the source and the result have.",
            show_default=False,
        ),
    ] = None,
    premultiplied: Annotated[
        bool, typer.Option("--premultiplied", help="Transparent results hold colours times alpha (.exr always does).")
    ] = False,
    hardware: Annotated[
        bool, typer.Option("--hardware", help="Decode and encode on the GPU, where that works; says what does.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Keep checkpoints, and go on from those of a run that broke off. Results that are there stay.",
        ),
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Report progress and results as JSON, an object a line (vmfm.apps.reports).")
    ] = False,
) -> None:
    """Put people, and what they hold, before another background.

    Example: vmfm recomposite talk.mp4 -o out.mp4 --background beach.jpg
    """
    from vmfm.apps.jobs import Targets, plan_jobs
    from vmfm.apps.media.cut import Cut, parse_fps
    from vmfm.apps.media.encodings import Storing
    from vmfm.apps.recomposite import Wish
    from vmfm.apps.session import Settings, run_jobs

    if out is None and alpha is None and deviation is None:
        raise typer.BadParameter("nothing to write: give -o OUT, --alpha or --deviation")
    if background is not None and out is None:
        raise typer.BadParameter("--background needs -o OUT to write the result to")
    if depth not in (None, 8, 10, 16):
        raise typer.BadParameter(f"--depth is 8, 10 or 16, not {depth}")
    targets = Targets(out, alpha, deviation, transparent=background is None, overwrite=overwrite, resume=resume)
    wish = Wish(
        cut=Cut.parse(start, duration),
        fps=parse_fps(fps),
        audio=not no_audio,
        salvage=salvage,
        hardware=hardware,
        resume=resume,
        storing=Storing(codec, quality, depth, premultiplied, hardware),
    )
    settings = Settings(
        background, bundle, detail, backend, linear, wish, skip_done=resume and not overwrite, json=json
    )
    if not run_jobs(plan_jobs(inputs, targets, sequence=sequence), settings):
        raise typer.Exit(1)


def bench(
    bundle: _Bundle = "lite",
    backend: _Backend = "auto",
    detail: Annotated[
        list[str] | None,
        typer.Option(
            help="At how many pixels the nets look: fast, balanced or fine; may be repeated. [default: all three]",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(help="WIDTHxHEIGHT of the frames; may be repeated. [default: 1280x720]", show_default=False),
    ] = None,
    frames: Annotated[int, typer.Option(min=2, help="How many frames to time, after warming up.")] = 100,
    input: Annotated[
        Path | None,
        typer.Option(help="Time on this video's frames, at its own size or the given ones.", show_default=False),
    ] = None,
    picture: Annotated[
        bool, typer.Option("--picture", help="Time finished pictures over a still background, instead of mattes.")
    ] = False,
    one_lane: Annotated[
        bool, typer.Option("--one-lane", help="Also time with nothing side by side: what running nets in lanes buys.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Also write the report here.", show_default=False)] = None,
) -> None:
    """Measure speed here: time per net, frames per second, latency.

    Example: vmfm bench --size 1280x720 --size 3840x2160 --one-lane
    """
    from vmfm.apps.bench import Workload, measure, write_report
    from vmfm.apps.bench_tables import print_report

    workload = Workload.parse(size or [], frames, input, _details(detail))
    report = measure(bundle, backend, workload, picture=picture, one_lane=one_lane)
    print_report(report)
    if json is not None:
        write_report(report, json)


def _details(names: list[str] | None) -> list[_Details]:
    known: tuple[_Details, ...] = get_args(_Details)
    if unknown := set(names or ()) - set(known):
        raise typer.BadParameter(f"--detail is {', '.join(known)}, not {', '.join(sorted(unknown))}")
    return [detail for detail in known if not names or detail in names]


def webcam(
    camera: Annotated[
        str, typer.Option(help="Its number, /dev/video0, rtsp://..., or a video that plays in place of one.")
    ] = "0",
    background: Annotated[
        list[str] | None,
        typer.Option(
            help="An image, a video (looped), #RRGGBB, blur or blur:RADIUS in pixels; none begins with the effect off. "
            "May be repeated: the preview's B key goes on to the next. [default: blur]",
            show_default=False,
        ),
    ] = None,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT to ask the camera for.")] = "1280x720",
    fps: Annotated[float, typer.Option(min=1, help="Frames per second to ask the camera for.")] = 30,
    mirror: Annotated[bool, typer.Option("--mirror", help="Left and right as in a mirror.")] = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="Open a window with figures and keys; goes on without a virtual camera.")
    ] = False,
    to: Annotated[
        str | None,
        typer.Option(
            help="The virtual camera, such as /dev/video10. Without it the first that is free.", show_default=False
        ),
    ] = None,
    bundle: _Bundle = "lite",
    detail: Annotated[
        Literal["auto", _Details],
        typer.Option(help="At how many pixels the nets look: auto takes the finest that is quick enough here."),
    ] = "auto",
    backend: _Backend = "auto",
    list_: Annotated[bool, typer.Option("--list", help="List the cameras here, and end.")] = False,
) -> None:
    """Be a camera with another background, for calls: from a real camera to a virtual one.

    Example: vmfm webcam --background beach.jpg --preview
    """
    if list_:
        from vmfm.apps.media.camera import list_cameras
        from vmfm.apps.media.logs import silence_codecs

        silence_codecs()
        print("\n".join(f"{name}  {what}" for name, what in list_cameras()) or "no camera here")
        return
    from vmfm.apps.sizes import parse_size
    from vmfm.apps.webcam import Settings, run_webcam

    backgrounds = tuple(background or ["blur"])
    wanted = None if detail == "auto" else detail
    settings = Settings(camera, parse_size(size), fps, backgrounds, mirror, bundle, wanted, backend, to, preview)
    print(run_webcam(settings, lambda line: print(line, flush=True)))


def studio(
    bundle: _Bundle = "lite",
    backend: _Backend = "auto",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of this computer's; 0 takes any that is free.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address, and open nothing.")] = False,
) -> None:
    """Open a page in the browser to try clips, the camera, backgrounds and settings on, and to export.

    Example: vmfm studio
    """
    from vmfm.apps.studio.serve import Settings, run_studio

    settings = Settings(bundle, backend, port, browser=not no_browser)
    run_studio(settings, lambda address: print(f"{address}  for this computer alone; Ctrl-C ends", flush=True))


def doctor() -> None:
    """Tell what VMFM finds on this computer, and what to do about what is missing.

    Example: vmfm doctor
    """
    from rich.console import Console
    from vmfm.apps.doctor import can_run, examine, tell

    findings = examine()
    tell(findings, Console())
    if not can_run(findings):
        raise typer.Exit(1)
