"""VMFM itself on the CPU, as its peers, one frame at a time: python vmfm_stream.py BUNDLE DETAIL"""

import sys

from vmfm.runtime import MattingStream
from worker import Matter, serve


def load() -> Matter:
    # lives as long as this process
    stream = MattingStream(sys.argv[1], detail=sys.argv[2], backend="cpu").__enter__()
    return lambda frame: stream.step(frame).alpha


if __name__ == "__main__":
    serve(load)
