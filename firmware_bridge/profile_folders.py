"""Sensor profiles in the folders of a box: which one counts, and what a faulty file takes out of use."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.errors import Fault, ProfileError
from firmware_bridge.profile_files import load_profile
from firmware_bridge.profiles import SensorProfile


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfilesFound:
    """What some folders hold: usable profiles by name, and what is wrong with the other files.

    A faulty file takes the name that it claims out of use (`spoilt`) and harms no other: another folder's
    profile of that name is not what the site meant.
    """

    profiles: Mapping[str, SensorProfile]
    errors: tuple[ProfileError, ...]
    spoilt: frozenset[str]


def find_profiles(directories: Iterable[Path]) -> ProfilesFound:
    """All profiles of the given directories; a name in an earlier one wins. Missing ones are passed over."""
    profiles: dict[str, SensorProfile] = {}
    errors: list[ProfileError] = []
    spoilt: set[str] = set()
    for directory in directories:
        good, faulty = _folder(directory)
        errors += faulty
        # Two good files of one name: it is unknown which one is meant. A good one outweighs a faulty one.
        doubtful = {error.name for error in faulty if error.name not in good or error.is_double}
        for name in sorted(good.keys() | doubtful):
            if name in doubtful and name not in profiles:
                spoilt.add(name)
            elif name not in spoilt:
                profiles.setdefault(name, good[name])
    return ProfilesFound(profiles=profiles, errors=tuple(errors), spoilt=frozenset(spoilt))


def _folder(directory: Path) -> tuple[dict[str, SensorProfile], list[ProfileError]]:
    good: dict[str, SensorProfile] = {}
    files: dict[str, Path] = {}
    faulty: list[ProfileError] = []
    for path in sorted(directory.glob("*.toml")):
        try:
            profile = load_profile(path)
        except ProfileError as error:
            faulty.append(error)
            continue
        if profile.name in good:
            remedy = f"{files[profile.name]} has that name already: rename one"
            fault = Fault(key="name", got=profile.name, remedy=remedy)
            faulty.append(ProfileError(str(path), [fault], name=profile.name, is_double=True))
        good[profile.name], files[profile.name] = profile, path
    return good, faulty


def load_profiles(directories: Iterable[Path]) -> dict[str, SensorProfile]:
    """As `find_profiles`, where nothing may be wrong. Raises ProfileError for the first faulty file."""
    found = find_profiles(directories)
    if found.errors:
        raise found.errors[0]
    return dict(found.profiles)
