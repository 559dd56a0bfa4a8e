"""What can be wrong with a view, and what a technician does about it."""

from enum import StrEnum

from edged.domain.trouble import Trouble


class Doubt(StrEnum):
    """One thing wrong with a picture, the most serious first."""

    FROZEN = "frozen"
    OTHER_SIZE = "other_size"
    PRESET_NOT_REACHED = "preset_not_reached"
    MOVED = "moved"
    NOTHING_CHANGED = "nothing_changed"
    DARK = "dark"
    OVEREXPOSED = "overexposed"
    COVERED = "covered"
    BLURRED = "blurred"


# A plate in such a picture belongs to another time or another berth, so it decides nothing. In a dark or
# blurred picture the plate is the right one; the reader's own confidence decides.
WITHHOLDS = frozenset(
    (Doubt.FROZEN, Doubt.OTHER_SIZE, Doubt.PRESET_NOT_REACHED, Doubt.MOVED, Doubt.NOTHING_CHANGED)
)

_CAUSES = {
    Doubt.FROZEN: "the camera repeats an old picture: equal pixels more than 10 s apart",
    Doubt.OTHER_SIZE: "the picture has another size than the one that the outlines were drawn on",
    Doubt.PRESET_NOT_REACHED: "the camera answered, but shows the view of another preset",
    Doubt.MOVED: "the camera shows another place than before",
    Doubt.NOTHING_CHANGED: "the sensor reported a vehicle, but nothing changed inside the berth's outline",
    Doubt.DARK: "the pictures are too dark",
    Doubt.OVEREXPOSED: "the pictures are over-exposed",
    Doubt.COVERED: "something covers the lens",
    Doubt.BLURRED: "the pictures are blurred",
}

_REMEDIES = {
    Doubt.FROZEN: "restart the camera; no plate is accepted until its picture changes",
    Doubt.OTHER_SIZE: "set the camera to that size, or draw the outlines again and correct `picture_size`",
    Doubt.PRESET_NOT_REACHED: "check `preset_url` and the motor; store the preset in the camera again",
    Doubt.MOVED: "turn the camera back, or draw the outlines again and run `edged view confirm`",
    Doubt.NOTHING_CHANGED: "compare picture and street: restart a frozen camera, or check the sensor",
    Doubt.DARK: "check the street lamp, the camera's exposure and its lens",
    Doubt.OVEREXPOSED: "check the camera's exposure, and whether the sun or a lamp shines into the lens",
    Doubt.COVERED: "clean the lens and remove what hangs before it",
    Doubt.BLURRED: "clean the lens and focus it again",
}


def trouble_of(doubt: Doubt, where: str) -> Trouble:
    """Return the doubt as a trouble of `where`, with the technician's next action."""
    return Trouble(where=where, cause=_CAUSES[doubt], remedy=_REMEDIES[doubt])
