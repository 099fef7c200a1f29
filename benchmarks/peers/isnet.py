"""IS-Net, a large salient-object model (1024x1024, OpenVINO), as the npm package of a browser's background removal has it."""

import json
import sys
from pathlib import Path

from worker import Matter, serve

PACKAGE = Path(sys.prefix, "node_modules", "@imgly", "background-removal-data", "dist")
MODEL = "/models/medium"  # in float16; "small" is quantised
SIDE = 1024


def load() -> Matter:
    import cv2
    import numpy as np
    import openvino

    parts = json.loads((PACKAGE / "resources.json").read_text())[MODEL]["chunks"]
    model = openvino.Core().read_model(b"".join((PACKAGE / part["hash"]).read_bytes() for part in parts))
    net = openvino.compile_model(model, "CPU", {"PERFORMANCE_HINT": "LATENCY"})

    def matte(frame: np.ndarray) -> np.ndarray:
        image = cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR).astype(np.float32)
        alpha = net(((image - 128) / 256).transpose(2, 0, 1)[None])[0][0, 0]
        return cv2.resize(alpha, frame.shape[1::-1], interpolation=cv2.INTER_LINEAR)

    return matte


if __name__ == "__main__":
    serve(load)
