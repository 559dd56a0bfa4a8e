"""One camera watched: each picture judged by what the camera has shown before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from edged.view.doubts import WITHHOLDS, Doubt
from edged.view.place import Outline, Slopes, changed_share, distinct_share, slopes_of
from edged.view.quality import Habits, Quality, absolute_doubt, quality_of, unusual_doubt
from edged.view.reference import Reference
from edged.view.sight import Sight, same_pixels

# Many cameras answer from a cache for a second or two: equal pictures within this time prove nothing.
FROZEN_AFTER_S = 10.0
_RECENT = 6  # sights of a camera that a new one is compared with
# A vehicle changes 10% to 35% of its outline's edges, passing light at most 0.5%.
_UNCHANGED_BELOW = 0.015
_DETAIL_FROM = 0.01  # a picture with fewer distinct edges (night without a lamp) shows no place to compare
# A vehicle is in the picture some seconds before it has settled on the sensor.
_APPROACH_S = 8.0
_UNUSUAL_TWICE = 2  # a lorry or headlights spoil one picture, a spoilt lens spoils the next one too


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewPlan:
    """What the settings say of one view.

    `outlines`: each berth's outline in px, None where the whole picture counts. `picture_size`: width and
    height of the picture that they were drawn on, None: learnt from the first good picture.
    """

    outlines: Mapping[str, Outline | None]
    picture_size: tuple[int, int] | None = None

    @property
    def drawn(self) -> Sequence[Outline]:
        return [outline for outline in self.outlines.values() if outline is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Why and when a picture was taken.

    `preset` None: the camera does not move. `hour` (0 to 23) and `day` (counted) are local time. `is_vacant`:
    the sensor says so. `arrived_s`: when the vehicle came (monotonic), None when no arrival was seen.
    """

    berth_no: str
    preset: int | None = None
    hour: int
    day: int
    is_vacant: bool = False
    arrived_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a picture says about its camera, the most serious doubt first.

    `is_proven`: compared with the reference and found in place. `is_repeated`: equal to a picture taken more
    than 10 s earlier, or before the vehicle came. `looks_empty`: the berth shows the same as when it was
    vacant; None when there is nothing to compare with. `good_until_s`: when the last good picture before this
    one was taken (monotonic), None when there was none. `has_learnt`: the view's reference changed.
    """

    doubts: tuple[Doubt, ...] = ()
    is_proven: bool = False
    is_repeated: bool = False
    looks_empty: bool | None = None
    good_until_s: float | None = None
    has_learnt: bool = False

    @property
    def may_decide(self) -> bool:
        """Tell whether a plate in this picture may decide an order."""
        return not self.is_repeated and WITHHOLDS.isdisjoint(self.doubts)


@dataclass(slots=True)
class View:
    """One view's memory: a preset of a moving camera, or all that a fixed camera sees."""

    plan: ViewPlan
    reference: Reference
    habits: Habits = field(default_factory=Habits)
    vacant: dict[str, Sight] = field(default_factory=dict)  # by berth
    good_s: float | None = None  # when the last picture in order was taken
    unusual: int = 0


class CameraWatch:
    """Judges the pictures of one camera. Not for several threads.

    `views` by preset, None for a camera that does not move.
    """

    def __init__(self, views: Mapping[int | None, ViewPlan]) -> None:
        self.views = {
            preset: View(plan=plan, reference=Reference(outlines=plan.drawn))
            for preset, plan in views.items()
        }
        self._recent: list[Sight] = []

    def judge(self, sight: Sight, occasion: Occasion) -> Judgement:
        """Judge a picture and remember it."""
        view = self.views[occasion.preset]
        slopes = slopes_of(sight.grey)
        quality = quality_of(sight, slopes)
        repeated = self._repeated(sight)
        doubts = self._plain_doubts(view, sight, quality, repeated, occasion.hour)
        is_in_place = False
        if doubts.isdisjoint((Doubt.OTHER_SIZE, Doubt.COVERED)):
            agreed = view.reference.compare(slopes)
            is_in_place = agreed is not None and agreed.is_same
            # A dark picture shows too little to prove another place; a blurred one shows enough. Light that
            # is only unusual at that hour hides no edges, and a camera turned away is often darker.
            is_clear = absolute_doubt(quality) in (None, Doubt.BLURRED) and quality.detail >= _DETAIL_FROM
            if not is_in_place and quality.detail >= _DETAIL_FROM and self._shows_another(view, slopes):
                doubts.add(Doubt.PRESET_NOT_REACHED)
            elif agreed is not None and (agreed.is_elsewhere or (is_clear and agreed.is_moved)):
                doubts.add(Doubt.MOVED)
        looks_empty = self._looks_empty(view, sight, slopes, occasion.berth_no)
        if looks_empty and self._came_since_vacant(view, occasion):
            doubts.add(Doubt.NOTHING_CHANGED)
        judgement = Judgement(
            doubts=tuple(sorted(doubts, key=list(Doubt).index)),
            is_proven=is_in_place and doubts.isdisjoint(WITHHOLDS),
            is_repeated=repeated is not None and _proves_nothing(sight, repeated, occasion.arrived_s),
            looks_empty=None if doubts & WITHHOLDS else looks_empty,
            good_until_s=repeated.taken_s if repeated else view.good_s,
        )
        if repeated is None:
            self._recent = [*self._recent[1 - _RECENT :], sight]
        return replace(judgement, has_learnt=self._learn(view, sight, quality, judgement, occasion))

    def confirm(self, preset: int | None, sight: Sight, day: int) -> None:
        """Make a picture that a person has looked at the view's reference."""
        self.views[preset].reference.confirm(sight, day)

    def _plain_doubts(
        self, view: View, sight: Sight, quality: Quality, repeated: Sight | None, hour: int
    ) -> set[Doubt]:
        """Return the doubts that need no comparison of places."""
        frozen = repeated is not None and sight.taken_s - repeated.taken_s > FROZEN_AFTER_S
        drawn_on = view.plan.picture_size or view.reference.size_px
        resized = bool(view.plan.drawn) and drawn_on is not None and sight.size_px != drawn_on
        poor = absolute_doubt(quality)
        unusual = None if poor else unusual_doubt(quality, view.habits, hour)
        view.unusual = view.unusual + 1 if unusual else 0
        found = (
            Doubt.FROZEN if frozen else None,
            Doubt.OTHER_SIZE if resized else None,
            poor,
            unusual if view.unusual >= _UNUSUAL_TWICE else None,
        )
        return {doubt for doubt in found if doubt}

    def _repeated(self, sight: Sight) -> Sight | None:
        """Return the picture of this camera that `sight` repeats: the first of a row of equal ones."""
        return next((older for older in self._recent if same_pixels(sight, older)), None)

    def _shows_another(self, view: View, slopes: Slopes) -> bool:
        """Tell whether the picture shows what another preset of this camera shows."""
        agreements = (other.reference.compare(slopes) for other in self.views.values() if other is not view)
        return any(agreed is not None and agreed.is_same for agreed in agreements)

    @staticmethod
    def _looks_empty(view: View, sight: Sight, slopes: Slopes, berth_no: str) -> bool | None:
        vacant = view.vacant.get(berth_no)
        if vacant is None or vacant.size_px != sight.size_px or distinct_share(slopes) < _DETAIL_FROM:
            return None
        outline = view.plan.outlines.get(berth_no)
        return changed_share(slopes_of(vacant.grey), slopes, outline, sight.size_px) < _UNCHANGED_BELOW

    @staticmethod
    def _came_since_vacant(view: View, occasion: Occasion) -> bool:
        vacant = view.vacant[occasion.berth_no]
        return occasion.arrived_s is not None and occasion.arrived_s - _APPROACH_S > vacant.taken_s

    @staticmethod
    def _learn(view: View, sight: Sight, quality: Quality, judgement: Judgement, occasion: Occasion) -> bool:
        """Take in a picture that is in order; return whether the reference changed."""
        if judgement.doubts or judgement.is_repeated:
            return False
        view.habits.learn(quality, occasion.hour)
        if occasion.is_vacant:
            view.vacant[occasion.berth_no] = sight
        if not judgement.is_proven and view.reference.place is not None:
            return False
        view.good_s = sight.taken_s
        return view.reference.learn(sight, occasion.day)


def _proves_nothing(sight: Sight, repeated: Sight, arrived_s: float | None) -> bool:
    """Tell whether a repeated picture is too old to show the vehicle that stands there now."""
    before_it_came = arrived_s is not None and repeated.taken_s < arrived_s
    return before_it_came or sight.taken_s - repeated.taken_s > FROZEN_AFTER_S
