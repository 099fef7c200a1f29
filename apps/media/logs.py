"""The codec libraries' own talk."""

import av
import cv2


def silence_codecs() -> None:
    """Keep libav's and OpenCV's lines off stderr; what matters of them reaches people in our errors."""
    av.logging.set_level(None)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
