"""Makes docs/pictures/ from the demo clip, by the command itself: `make docs`."""

import subprocess
import sys
import tempfile
from pathlib import Path

import cv2

HERE = Path(__file__).parent
DEMO = HERE.parent / "apps" / "demo"
WIDTH_PX, QUALITY = 1200, 85
STRIPS = {
    "calls.jpg": (["--background", "blur", "-o"], ["--background", str(DEMO / "beach.jpg"), "-o"]),
    "editing.jpg": (["--alpha"], ["--deviation"]),
}


def frame(options: list[str], folder: Path) -> Path:
    """One frame of the clip, as the command makes it with options, of which the last takes the target."""
    target = folder / "frame_%04d.png"
    command = [sys.executable, "-m", "vmfm.apps.main", "recomposite", str(DEMO / "woman_with_mug.mp4")]
    subprocess.run([*command, "--start", "1", "--duration", "0.04", *options, str(target)], check=True)
    return next(folder.glob("frame_*.png"))


def main() -> None:
    for name, takes in STRIPS.items():
        parts = []
        for options in takes:
            with tempfile.TemporaryDirectory() as folder:
                parts.append(cv2.imread(str(frame(options, Path(folder)))))
        strip = cv2.hconcat(parts)
        strip = cv2.resize(
            strip, (WIDTH_PX, round(strip.shape[0] * WIDTH_PX / strip.shape[1])), interpolation=cv2.INTER_AREA
        )
        cv2.imwrite(str(HERE / "pictures" / name), strip, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


if __name__ == "__main__":
    main()
