"""What people do, after the interaction classes of Table 9 of the paper: with which things, held how, standing how."""

from dataclasses import dataclass

# Weights of (webcam, three_quarter, full) framing.
ANY = (0.5, 0.35, 0.15)
NEAR = (0.65, 0.3, 0.05)
WHOLE = (0.0, 0.4, 0.6)
BODY = (0.0, 0.15, 0.85)


@dataclass(frozen=True)
class Action:
    """things: classes or grips ("grip:upright") of the thing in use; none of them: nothing is held.

    holds: names in holds.HOLDS, for every grip where it needs another hold than its own ("grip:hold"). zones: where
    the hand goes. Repeats make an entry likelier.
    """

    name: str
    weight: float
    things: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    zones: tuple[str, ...] = ("mid",)
    stances: tuple[str, ...] = ("stand",)
    framing: tuple[float, float, float] = ANY
    gaze: tuple[str, ...] = ("camera", "camera", "camera", "away")
    sits: float = 0.0  # share done sitting, the seat being in the picture
    back: float = 0.0  # share seen from behind


ACTIONS = (
    Action("none", 9, gaze=("camera", "camera", "away"), sits=0.25, back=0.06),
    Action("gesture", 9, framing=NEAR, sits=0.2),
    Action("sit", 7, framing=(0.25, 0.45, 0.3), sits=1.0, back=0.05),
    Action("carry_bag", 5, ("grip:bag", "briefcase"), ("hang",), framing=WHOLE, back=0.2),
    Action("backpack", 4, ("grip:backpack",), ("wear_back",), framing=(0.3, 0.4, 0.3), back=0.45),
    Action("suitcase", 3, ("grip:trolley",), ("trolley",), framing=BODY, back=0.1),
    Action("umbrella", 4, ("grip:umbrella",), ("umbrella",), framing=(0.25, 0.4, 0.35), back=0.15),
    Action("carry_box", 6, ("grip:box", "bowl"), ("both_sides",), ("carry",), framing=(0.3, 0.5, 0.2)),
    Action("catch", 4, ("grip:ball", "grip:disc"), ("both_sides",), ("show", "high"), ("stand", "wide"), (0.2, 0.4, 0.4)),
    Action("cut", 3, ("scissors", "knife", "fork"), ("wield",), ("mid", "show"), framing=NEAR, sits=0.2),
    Action("drink", 8, ("bottle", "can", "cup", "mug", "glass", "beer_glass", "wine_glass", "milk_carton"), ("sip", "grasp"),
           ("mid", "show"), framing=NEAR, gaze=("camera", "thing"), sits=0.25),
    Action("drink_bowl", 2, ("grip:bowl",), ("sip_both",), framing=NEAR, sits=0.3),
    Action("eat", 6, ("grip:bite", "hot_dog", "cupcake", "hamburger"), ("bite", "present"), ("mid", "show"),
           framing=NEAR, gaze=("camera", "thing"), sits=0.25),
    Action("hold", 10, ("grip:upright", "grip:small", "grip:bite", "grip:ball", "bowl", "flowers", "hair_dryer",
                        "hand_fan", "pen"), (), ("mid", "low", "show", "show", "high"), framing=ANY, sits=0.15),
    Action("show_box", 5, ("grip:box", "tablet", "laptop"), ("both_sides",), ("show",), framing=NEAR),
    Action("show_flat", 3, ("grip:flat",), ("read",), ("show",), framing=NEAR, sits=0.15),
    Action("flute", 2, ("flute",), ("flute",), framing=NEAR, gaze=("thing", "away")),
    Action("tool", 5, ("grip:stick",), ("wield",), ("mid", "show", "high", "low"), framing=(0.3, 0.4, 0.3)),
    Action("hit_bat", 4, ("grip:bat",), ("wield_both",), ("shoulder", "swing", "forward"), ("stand", "wide"),
           (0.1, 0.45, 0.45), back=0.1),
    Action("hit_racket", 5, ("racket", "bat"), ("wield",), ("mid", "show", "high", "swing"), ("stand", "wide", "lunge"),
           (0.15, 0.4, 0.45), back=0.1),
    Action("hit_ball", 2, ("grip:ball",), ("push",), ("high",), ("wide", "lunge"), WHOLE),
    Action("kick", 3, ("grip:ball",), ("foot",), stances=("kick",), framing=BODY, gaze=("thing", "thing", "camera")),
    Action("throw", 4, ("grip:ball", "grip:disc"), ("push",), ("high", "swing"), ("wide", "lunge"), WHOLE),
    Action("ride_board", 6, ("grip:board",), ("ride",), stances=("ride",), framing=BODY, gaze=("away", "camera")),
    Action("carry_board", 4, ("grip:board",), ("under_arm", "beside"), framing=WHOLE, back=0.15),
    Action("ski", 4, ("grip:skis",), ("ski",), stances=("ski",), framing=BODY, gaze=("away", "camera")),
    Action("read", 5, ("grip:flat",), ("read",), ("read",), framing=NEAR, gaze=("thing",), sits=0.35),
    Action("phone_ear", 5, ("phone",), ("phone_ear",), framing=NEAR, sits=0.2),
    Action("phone", 6, ("phone", "remote"), ("phone_text", "phone_show", "phone_selfie"), gaze=("thing", "thing", "camera"),
           framing=NEAR, sits=0.25),
    Action("laptop", 4, ("grip:lap",), ("laptop",), gaze=("thing", "thing", "camera"), framing=(0.5, 0.4, 0.1), sits=0.8),
    Action("guitar", 1.5, ("guitar",), ("guitar",), framing=(0.3, 0.5, 0.2), sits=0.0),
    Action("headphones", 4, ("grip:ears",), ("ears",), framing=NEAR, sits=0.25, back=0.05),
)  # fmt: skip

# How each grip is held where an action leaves it open.
USUAL_HOLD = {
    "upright": "grasp", "small": "present", "bite": "present", "stick": "wield", "bat": "wield_both", "ball": "palm_ball",
    "disc": "push", "bowl": "both_sides", "box": "both_sides", "flat": "read", "phone": "phone_show", "bag": "hang",
    "lap": "both_sides",
}  # fmt: skip

# What hands do that hold nothing.
GESTURES = ("relax", "relax", "relax", "hip", "wave", "chin", "talk", "talk", "hair", "chest", "point", "face", "reach",
            "cheek", "crossed")  # fmt: skip
FREE_HAND = ("relax", "relax", "relax", "relax", "hip", "talk", "chest")
EXPRESSIVE = ("wave", "chin", "talk", "hair", "chest", "point", "face", "face", "reach", "reach", "cheek", "palm")
