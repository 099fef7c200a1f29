"""Every way to hold, wear or use a thing, by the name that scenes call it."""

from collections.abc import Callable

from vmfm.trainer.render import holds_both, holds_one
from vmfm.trainer.render.holds_one import Matrix
from vmfm.trainer.render.mesh import Prop
from vmfm.trainer.render.performer import Performer
from vmfm.trainer.render.scene import Use

Hold = Callable[[Performer, Prop, Use], Matrix]

HOLDS: dict[str, Hold] = {
    hold.__name__: hold
    for hold in (
        holds_one.grasp, holds_one.sip, holds_one.bite, holds_one.present, holds_one.palm_ball, holds_one.push,
        holds_one.wield, holds_one.umbrella, holds_one.hang, holds_one.trolley, holds_one.phone_ear,
        holds_one.phone_text, holds_one.phone_show, holds_one.phone_selfie, holds_one.under_arm, holds_one.beside,
        holds_one.pole, holds_both.both_sides, holds_both.sip_both, holds_both.wield_both, holds_both.read,
        holds_both.laptop, holds_both.guitar, holds_both.flute, holds_both.wear_back, holds_both.ears, holds_both.ride,
        holds_both.ski, holds_both.foot,
    )
}  # fmt: skip

WORN = {"wear_back", "ears", "seat", "ride", "ski", "foot"}  # no hand has to be near
AT_THE_HEAD = {"sip", "sip_both", "bite", "phone_ear", "flute", "ears"}  # the head has to stay where it is
