"""RS-485/Modbus: from the bytes on a bus to occupied / vacant / fault per sensor channel. Knows no berths.

What the daemon uses:

- `load_profile(path)`, `find_profiles(directories)`: sensor profiles from TOML; a faulty file is a
  ProfileError with all its faults, and harms no other profile.
- `BusSettings`, `SensorSettings`, `check_sensors`: frozen, checked settings; SettingsError holds all faults.
- `SensorBus(settings, sensors, on_observation)`: one bus. `run(stop)` blocks in the daemon's worker
  thread and owns the port; a port that is missing, unplugged, forbidden or held by another process is tried
  again inside `run` with growing delay; anything unexpected propagates. The constructor starts nothing.
- `Observation`: what a channel became, on first knowledge and on every change, with hysteresis applied.
  `counter_delta` counts arrivals that the level did not show (a swapped car: occupied stays, delta 1).
- `SensorBus.channel_states()`: every channel's state and the age of its last good reading, cheap enough for
  each tick of the berth state machine. `SensorBus.snapshot()`: everything else, for diag and `bus watch`.
- `SensorBus.last_progress_s`: monotonic; moves while the thread lives, port or no port (the watchdog's food).

A plain sensor has channel 1 only; the channels of a device with several are numbered as its document does.
The simulator (`firmware_bridge.simulator`) is not imported from here: nothing on a pole uses it.
"""

from firmware_bridge.bus import SensorBus
from firmware_bridge.channels import PORT_CAUSE, ChannelState, Observation
from firmware_bridge.errors import BridgeError, Fault, PortError, ProfileError, SettingsError
from firmware_bridge.profile_files import load_profile
from firmware_bridge.profile_folders import ProfilesFound, find_profiles, load_profiles
from firmware_bridge.profiles import SensorProfile
from firmware_bridge.settings import BusSettings, Parity, SensorOptions, SensorSettings
from firmware_bridge.sharing import check_sensors
from firmware_bridge.statistics import BusSnapshot, BusTrouble, ChannelSnapshot, SensorSnapshot

__all__ = [
    "PORT_CAUSE",
    "BridgeError",
    "BusSettings",
    "BusSnapshot",
    "BusTrouble",
    "ChannelSnapshot",
    "ChannelState",
    "Fault",
    "Observation",
    "Parity",
    "PortError",
    "ProfileError",
    "ProfilesFound",
    "SensorBus",
    "SensorOptions",
    "SensorProfile",
    "SensorSettings",
    "SensorSnapshot",
    "SettingsError",
    "check_sensors",
    "find_profiles",
    "load_profile",
    "load_profiles",
]
