"""Looking for sensors on a bus: which unit ids answer, at which link settings, and which profile fits."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import ValidationError

from firmware_bridge.blocks import Purpose, plan_blocks, slots_of
from firmware_bridge.bus import SensorBus
from firmware_bridge.errors import BridgeError
from firmware_bridge.frames import Request
from firmware_bridge.link import LinkTiming
from firmware_bridge.profiles import SensorProfile
from firmware_bridge.registers import Signal
from firmware_bridge.settings import BusSettings, SensorSettings, parity_of
from firmware_bridge.transaction import Cause, Outcome

PROBE_TIMEOUT_S = 0.1  # many ids are tried: none is waited for long
NAMED_PROBE_TIMEOUT_S = 0.5  # somebody expects a device at this id, if only a slow one
_TRIES = 3  # of each question to a device that is known to be there
_LATE_S = 0.3  # before a found device is asked what it is
_LIKELY_IDS = range(1, 33)
_ALL_IDS = range(1, 248)
_BAUDRATES = (9600, 19200, 115200, 38400, 57600, 4800, 2400)
_PARITIES = ("N", "E", "O")

Ask = Callable[[Request, float], Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """One way to talk on the line."""

    baudrate: int
    parity: str
    stop_bits: int

    def __str__(self) -> str:
        return f"{self.baudrate} 8{self.parity}{self.stop_bits}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A device that answered. `identified` are profiles proven by their identity register, `fitting` those
    whose occupancy registers can be read with a valid value."""

    link: LinkSettings
    device_id: int
    identified: tuple[str, ...]
    fitting: tuple[str, ...]


def likely_links(profiles: Iterable[SensorProfile], *, everything: bool = False) -> list[LinkSettings]:
    """Link settings to try: those the profiles are delivered with first, then, if wished, all others."""
    links = [
        LinkSettings(baudrate=p.link.baudrate, parity=p.link.parity, stop_bits=p.link.stop_bits)
        for p in profiles
    ]
    if everything:
        links += [LinkSettings(baudrate=b, parity=p, stop_bits=1) for p in _PARITIES for b in _BAUDRATES]
    return list(dict.fromkeys(links))


def likely_ids(profiles: Iterable[SensorProfile], *, everything: bool = False) -> list[int]:
    """Unit ids to try: as delivered, then the low ones that installers give, then, if wished, all."""
    ids = [profile.link.default_device_id for profile in profiles]
    return list(dict.fromkeys([*ids, *(_ALL_IDS if everything else _LIKELY_IDS)]))


@contextmanager
def bare_bus(port: str, link: LinkSettings) -> Iterator[Ask]:
    """A bus without sensors, only to ask. Raises PortError from the asking where the port cannot be had."""
    try:
        settings = BusSettings(
            name="scan",
            port=port,
            baudrate=link.baudrate,
            parity=parity_of(link.parity),
            stop_bits=link.stop_bits,
        )
    except ValidationError as error:
        wrong = error.errors()[0]
        raise BridgeError(f"{wrong['loc'][0]}: got {wrong['input']!r}: {wrong['msg']}") from None
    bus = SensorBus(settings, [], lambda _: None)
    stop = threading.Event()
    thread = threading.Thread(target=bus.run, args=(stop,), name="bus scan")
    thread.start()
    try:
        yield lambda request, timeout_s: bus.ask(request, response_timeout_s=timeout_s)
    finally:
        stop.set()
        thread.join()


def scan(
    ask: Ask,
    link: LinkSettings,
    profiles: Mapping[str, SensorProfile],
    device_ids: Sequence[int],
    on_tried: Callable[[], object] = lambda: None,
    *,
    probe_timeout_s: float = PROBE_TIMEOUT_S,
) -> Iterator[Found]:
    """Ask each id at one link setting; `on_tried` is called after each. A device shows by any valid reply."""
    for device_id in device_ids:
        if any(
            _shows_a_device(ask(probe, probe_timeout_s)) for probe in _probes(device_id, profiles.values())
        ):
            yield identify(ask, link, device_id, profiles)
        on_tried()


def identify(ask: Ask, link: LinkSettings, device_id: int, profiles: Mapping[str, SensorProfile]) -> Found:
    """Which profiles a present device fits."""
    ask = _repeated(_patient(ask))
    threading.Event().wait(_LATE_S)  # a reply to the probe may still be on its way
    identified, fitting = [], []
    for profile in profiles.values():
        if not profile.link.may_have(device_id):
            continue
        if profile.identity is not None:
            if _is_identified(ask, profile, device_id):
                identified.append(profile.name)
        elif _is_fitting(ask, profile, device_id):
            fitting.append(profile.name)
    return Found(link=link, device_id=device_id, identified=tuple(identified), fitting=tuple(fitting))


def _patient(ask: Ask) -> Ask:
    """After silence the next question waits, so that a late answer is not taken for its own."""

    def patient(request: Request, timeout_s: float) -> Outcome:
        outcome = ask(request, timeout_s)
        if not outcome.heard:
            threading.Event().wait(_LATE_S)
        return outcome

    return patient


def _repeated(ask: Ask) -> Ask:
    """One lost reply does not make a device another one."""

    def repeated(request: Request, timeout_s: float) -> Outcome:
        for _ in range(_TRIES - 1):
            outcome = ask(request, timeout_s)
            if outcome.heard:
                return outcome
        return ask(request, timeout_s)

    return repeated


def _shows_a_device(outcome: Outcome) -> bool:
    return outcome.heard and not outcome.is_absence


def _probes(device_id: int, profiles: Iterable[SensorProfile]) -> list[Request]:
    """Questions that some device answers: the profiles' own, by value or at least by exception."""
    probes = [Request(device_id=device_id, function=3, address=0)]
    for profile in profiles:
        register = profile.register_of(profile.occupancy.signal)
        function, address = (
            register.table.read_function,
            profile.address(register, profile.channel_numbers[0]),
        )
        probes.append(Request(device_id=device_id, function=function, address=address, count=register.size))
    # One question a function is enough: who does not have the register says so with an exception.
    return list({probe.function: probe for probe in reversed(probes)}.values())


def _is_identified(ask: Ask, profile: SensorProfile, device_id: int) -> bool:
    rule = profile.identity
    if rule is None:
        return False
    register = profile.registers[rule.register_name]
    request = Request(
        device_id=device_id,
        function=register.table.read_function,
        address=profile.address(register, profile.channel_numbers[0]),
        count=register.size,
    )
    outcome = ask(request, profile.link.response_timeout_ms / 1000)
    return outcome.cause is Cause.OK and register.raw(outcome.values) & rule.mask == rule.equals


def _is_fitting(ask: Ask, profile: SensorProfile, device_id: int) -> bool:
    first = profile.channel_numbers[:1]
    sensor = SensorSettings(name="scan", device_id=device_id, profile=profile, channels=first)
    timing = LinkTiming(baudrate=profile.link.baudrate)
    blocks = [block for block in plan_blocks([sensor], timing) if block.purpose is Purpose.OCCUPANCY]
    signals: dict[str, Signal] = {}
    for block in blocks:
        threading.Event().wait(profile.link.min_gap_ms / 1000)
        outcome = ask(block.requests[0], profile.link.response_timeout_ms / 1000)
        if outcome.cause is not Cause.OK:
            return False
        for slot in slots_of([sensor], outcome.request):
            signals |= slot.part.register.signals(slot.part.name, slot.raw(outcome.values))
    level = signals.get(profile.occupancy.signal)
    return level is not None and level.value is not None
