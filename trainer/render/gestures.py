"""What hands do that hold nothing; several of them hide parts of the face or reach towards the camera."""

import numpy as np
from vmfm.trainer.render.kinematics import vec
from vmfm.trainer.render.performer import Performer, Unposable
from vmfm.trainer.render.skeleton import other, sign

LOOSE = 0.3  # metres by which a gesture may miss: nobody notices


def gesture(performer: Performer, side: str, kind: str) -> None:
    """As near to it as the arm comes: where a hand cannot reach, nobody notices."""
    if kind == "relax":
        return
    u, s = performer.rng.uniform, sign(side)
    shoulder, posture = performer.shoulder(side), performer.posture

    def bring(point, along, normal, off, pole, curl, thumb=10) -> None:
        performer.bring(
            side, np.asarray(point), vec(*along), vec(*normal), off, vec(*pole), curl, thumb, LOOSE, holds=False
        )

    down, up = (s * 0.6, 0.3, -1), (s * 0.8, 0.1, -1)
    try:
        if kind == "hip":
            hip = posture.head(f"thigh_{side}") + vec(s * 0.13, -0.01, 0.17)
            posture.reach(side, hip, vec(s, 0.35, 0))
            posture.orient(side, vec(-s * 0.6, -0.6, -0.4), vec(-s, 0.3, -0.4))
            posture.curl(side, 20, 10)
        elif kind == "wave":
            point = shoulder + vec(s * u(0.12, 0.26), -u(0.15, 0.35), u(0.05, 0.25))
            bring(point, (s * 0.1, -0.1, 1), (0, -1, 0), 0, up, u(0, 10), 0)
        elif kind == "palm":  # stop!
            point = shoulder + vec(-s * u(0, 0.12), -u(0.4, 0.5), u(-0.08, 0.2))
            bring(point, (0, -0.25, 1), (0, -1, 0), 0, down, u(0, 8), 0)
        elif kind == "reach":  # for the camera, or the screen's edge
            point = shoulder + vec(-s * u(-0.12, 0.2), -u(0.45, 0.56), u(-0.2, 0.25))
            bring(point, (-s * u(0, 0.4), -1, u(-0.1, 0.3)), (-s * 0.6, 0, -0.6), 0, down, u(5, 35), 15)
        elif kind == "chin":
            point = performer.mark("mouth") + vec(s * 0.03, -0.01, -0.075)
            bring(point, (-s * 0.25, 0.2, 0.9), (-s * 0.2, 0.9, 0.1), 0.01, (s * 0.6, -0.3, -1), 48, 25)
        elif kind == "cheek":
            point = performer.ear(side) + vec(s * 0.012, -0.05, -0.035)
            bring(point, (-s * 0.1, 0.25, 1), (-s, 0.15, 0), 0.012, (s * 0.5, -0.4, -1), u(6, 40), 12)
        elif kind == "face":  # before the mouth, the nose or the eyes
            point = performer.mark("mouth") + vec(s * u(-0.01, 0.05), -u(0.015, 0.05), u(-0.01, 0.07))
            bring(point, (-s * 0.75, 0.1, u(0.3, 0.9)), (-s * 0.15, 1, 0), 0.015, (s * 0.7, -0.2, -1), u(8, 45), 20)
        elif kind == "hair":
            point = performer.mark("top") + vec(s * 0.1, 0, -0.05)
            bring(point, (-s * 0.4, 0.3, 0.5), (-s, 0, -0.3), 0.012, (s, -0.2, 0.2), 20, 10)
        elif kind == "talk":
            point = shoulder + vec(s * u(-0.06, 0.12), -u(0.25, 0.4), -u(0.12, 0.3))
            bring(point, (-s * u(0, 0.5), -1, u(0.1, 0.6)), (-s * 0.6, -0.1, u(0.1, 0.9)), 0, down, u(6, 25), 10)
        elif kind == "chest":
            point = posture.head("spine_03") + vec(s * 0.02, -0.19, 0.04)
            bring(point, (-s, -0.1, 0.25), (0, 1, 0), 0.01, (s, 0.1, -0.8), 10, 6)
        elif kind == "crossed":
            across = performer.shoulder(other(side)) + vec(s * 0.02, -0.14 - 0.035 * (s > 0), -0.2)
            bring(across, (-s, 0.1, 0.1), (0, 1, 0.1), 0.02, (s * 0.8, -0.25, -1), 18, 10)
        elif kind == "point":
            point = shoulder + vec(s * u(-0.05, 0.2), -u(0.35, 0.5), u(-0.1, 0.15))
            bring(point, (0, -1, 0.1), (-s, 0, -0.2), 0, down, 60, 25)
    except Unposable:
        return
