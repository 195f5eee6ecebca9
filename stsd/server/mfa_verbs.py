"""What the operator asks a node about MFA devices, over its socket. A code leaves the node there and nowhere else."""

from __future__ import annotations

from stsd.directory import Directory, MFADevice
from stsd.server.clock import Clock
from stsd.server.operator import OperatorError, Told, Verb
from stsd.view import View


class MFAVerbs:
    """`mfa code`: a code of a device that is good now and was not used yet."""

    def __init__(self, view: View, clock: Clock) -> None:
        self._view, self._clock = view, clock

    def verbs(self) -> dict[str, Verb]:
        """By name."""
        return {"mfa code": self._code}

    def _code(self, call: Told) -> Told:
        device = _named(call.get("serial"), self._view.directory)
        code = self._view.mfa.next_code(device.serial_number, device.seed, self._clock.service())
        if code is None:
            raise OperatorError("every code that is good now has been used; the next one comes within 30 seconds")
        return {"code": code}


def _named(serial: object, directory: Directory) -> MFADevice:
    """The device with this serial number, or the only one. Raises OperatorError."""
    owned = [user.mfa_devices for user in directory.users.values()]
    owned += [root.mfa_devices for root in directory.root_users.values()]
    devices = {device.serial_number: device for found in owned for device in found}
    if not devices:
        raise OperatorError("nobody has an MFA device in this world")
    if serial is None and len(devices) == 1:
        return next(iter(devices.values()))
    if not isinstance(serial, str) or serial not in devices:
        raise OperatorError(f"--serial: name one of {', '.join(sorted(devices))}")
    return devices[serial]
