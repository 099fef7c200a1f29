"""MediaPipe selfie segmentation, the general (256x256) or the landscape (144x256) model: python ... 0|1"""

import sys

from worker import Matter, serve


def load() -> Matter:
    import mediapipe

    segmenter = mediapipe.solutions.selfie_segmentation.SelfieSegmentation(model_selection=int(sys.argv[1]))
    return lambda frame: segmenter.process(frame).segmentation_mask


if __name__ == "__main__":
    serve(load)
