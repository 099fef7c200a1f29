"""VMFM itself, one frame at a time: python vmfm_stream.py BUNDLE DETAIL"""

import sys

from vmfm.runtime import MattingStream
from worker import Matter, serve


def load() -> Matter:
    stream = MattingStream(sys.argv[1], detail=sys.argv[2]).__enter__()  # lives as long as this process
    return lambda frame: stream.step(frame).alpha


if __name__ == "__main__":
    serve(load)
