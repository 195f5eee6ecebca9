"""SerialNumber and TokenCode of AssumeRole and GetSessionToken (spec 3.2.9).

A code is looked at where the order of checks has its row, and then the operation waits: whether a step was used or an
attempt failed is stored before anybody hears of it, so what follows is a `Pending` that the shell finishes. A code that
was accepted is used, whatever the checks behind it say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from stsd.directory import MFADevice, RootUser, User
from stsd.errors import AccessDenied
from stsd.mfa import Failed, OverBudget, Verdict
from stsd.principal import Caller
from stsd.view import View

ACTIONS = frozenset(("AssumeRole", "GetSessionToken"))
CODE = "TokenCode"
SERIAL = "SerialNumber"
WRONG = "MultiFactorAuthentication failed with invalid MFA one time pass code. "
UNABLE = (
    "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and"
    " associated with this user."
)
INCOMPLETE = "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code."

Done = TypeVar("Done")


@dataclass(slots=True)
class Pending(Generic[Done]):
    """An operation that waits until `verdict` is stored; `finish` then runs the rest of it, and raises its errors."""

    verdict: Verdict
    finish: Callable[[], Done]


def is_given(arguments: Mapping[str, Any]) -> bool:
    """Whether a request speaks of MFA at all."""
    return CODE in arguments or SERIAL in arguments


def present(
    arguments: Mapping[str, Any], caller: Caller, view: View, now: float, rest: Callable[[], Done]
) -> Pending[Done]:
    """Judge the code of a request; `rest` follows when it was accepted. Raises AccessDenied for what is no attempt at
    a device of the caller's, or one too many."""
    if not (CODE in arguments and SERIAL in arguments):
        raise AccessDenied(INCOMPLETE, reason="mfa_incomplete")
    device = _device(arguments[SERIAL], caller, view)
    if device is None:
        raise AccessDenied(UNABLE, reason="mfa_unknown_device")
    try:
        verdict = view.mfa.verify(device.serial_number, device.seed, arguments[CODE], now)
    except OverBudget:
        raise AccessDenied(UNABLE, reason="mfa_over_budget") from None
    if isinstance(verdict, Failed):
        return Pending(verdict, lambda: _refuse(verdict))
    return Pending(verdict, rest)


def _device(serial_number: str, caller: Caller, view: View) -> MFADevice | None:
    """The caller's device with this serial number; roles have none."""
    holder = view.holder(caller.principal)
    devices = holder.mfa_devices if isinstance(holder, User | RootUser) else ()
    return next((device for device in devices if device.serial_number == serial_number), None)


def _refuse(failed: Failed) -> Any:
    raise AccessDenied(WRONG, reason=failed.reason)
