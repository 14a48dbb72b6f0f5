"""The adapter's control through sysfs, on a folder laid out as the kernel lays it out."""

from pathlib import Path

import pytest

from devices.recovery import Step, StepError
from devices.sysfs_adapter import SysfsAdapter


def usb(sysfs: Path) -> Path:
    """An adapter on USB, as the second port of a hub; return its device."""
    device = sysfs / "devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.2"
    interface = device / "1-1.2:1.0"
    hci = interface / "bluetooth/hci0"
    hci.mkdir(parents=True)
    for hub in (sysfs / "devices/pci0000:00/0000:00:14.0/usb1", device.parent, device):
        (hub / "idVendor").write_text("1d6b\n")
        (hub / "authorized").write_text("1\n")
    (interface / "authorized").write_text("1\n")
    (sysfs / "bus/usb").mkdir(parents=True)
    (interface / "subsystem").symlink_to(sysfs / "bus/usb")
    (hci / "device").symlink_to(interface)
    listed(sysfs, hci)
    return device


def uart(sysfs: Path) -> Path:
    """An adapter on a UART, as the Raspberry Pi's; return its driver."""
    device = sysfs / "devices/platform/soc/fe201000.serial/serial0/serial0-0"
    hci = device / "bluetooth/hci0"
    driver = sysfs / "bus/serial/drivers/hci_uart_bcm"
    hci.mkdir(parents=True)
    driver.mkdir(parents=True)
    for name in ("bind", "unbind"):
        (driver / name).write_text("")
    (driver / device.name).symlink_to(device)
    (device / "driver").symlink_to(driver)
    (device / "subsystem").symlink_to(sysfs / "bus/serial")
    (hci / "device").symlink_to(device)
    listed(sysfs, hci)
    return driver


def listed(sysfs: Path, hci: Path) -> None:
    (sysfs / "class/bluetooth").mkdir(parents=True)
    (sysfs / "class/bluetooth/hci0").symlink_to(hci)


@pytest.fixture
def control(tmp_path: Path) -> SysfsAdapter:
    return SysfsAdapter("hci0", sysfs=tmp_path, off=0.0)


def written(monkeypatch: pytest.MonkeyPatch, *, fail: dict[str, OSError] | None = None) -> list[tuple[str, str]]:
    """Record what is written, in order; writing to a file named in `fail` fails as the kernel would let it."""
    log: list[tuple[str, str]] = []
    real = Path.write_text

    def write(path: Path, data: str, **options: str) -> int:
        log.append((path.name, data))
        if fail and path.name in fail:
            raise fail[path.name]
        return real(path, data, **options)

    monkeypatch.setattr(Path, "write_text", write)
    return log


async def test_a_usb_adapter_is_dropped_and_taken_up_again(
    tmp_path: Path, control: SysfsAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = usb(tmp_path)
    log = written(monkeypatch)
    assert await control.steps() == (Step.USB_RESET,)
    await control.take(Step.USB_RESET)
    assert log == [("authorized", "0"), ("authorized", "1")]
    assert (device / "authorized").read_text() == "1"
    # Neither the hub nor the interface was touched.
    assert (device.parent / "authorized").read_text() == "1\n"
    assert (device / "1-1.2:1.0/authorized").read_text() == "1\n"


async def test_an_adapter_on_a_uart_has_its_driver_bound_anew(
    tmp_path: Path, control: SysfsAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    uart(tmp_path)
    log = written(monkeypatch)
    assert await control.steps() == (Step.DRIVER_REBIND,)
    await control.take(Step.DRIVER_REBIND)
    assert log == [("unbind", "serial0-0"), ("bind", "serial0-0")]


async def test_a_driver_that_was_left_unbound_is_bound(
    tmp_path: Path, control: SysfsAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = uart(tmp_path)
    assert await control.steps() == (Step.DRIVER_REBIND,)
    (driver / "serial0-0").unlink()
    (tmp_path / "class/bluetooth/hci0").unlink()
    log = written(monkeypatch)
    assert await control.steps() == (Step.DRIVER_REBIND,)
    await control.take(Step.DRIVER_REBIND)
    assert log == [("bind", "serial0-0")]


async def test_a_dead_adapter_that_has_disappeared_is_still_known(tmp_path: Path, control: SysfsAdapter) -> None:
    device = usb(tmp_path)
    await control.steps()
    (tmp_path / "class/bluetooth/hci0").unlink()
    assert await control.steps() == (Step.USB_RESET,)
    await control.take(Step.USB_RESET)
    assert (device / "authorized").read_text() == "1"


async def test_without_an_adapter_nothing_is_possible(tmp_path: Path, control: SysfsAdapter) -> None:
    assert await control.steps() == ()
    with pytest.raises(StepError, match="not possible"):
        await control.take(Step.USB_RESET)


async def test_an_adapter_on_a_plain_serial_line_has_no_driver_to_bind(tmp_path: Path, control: SysfsAdapter) -> None:
    device = tmp_path / "devices/platform/soc/3f201000.serial/tty/ttyAMA0"
    hci = device / "bluetooth/hci0"
    hci.mkdir(parents=True)
    (tmp_path / "class/tty").mkdir(parents=True)
    (device / "subsystem").symlink_to(tmp_path / "class/tty")
    (hci / "device").symlink_to(device)
    listed(tmp_path, hci)
    assert await control.steps() == ()


async def test_the_other_kind_of_step_is_refused(tmp_path: Path, control: SysfsAdapter) -> None:
    usb(tmp_path)
    await control.steps()
    with pytest.raises(StepError, match="not possible"):
        await control.take(Step.DRIVER_REBIND)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied"), "not permitted to this program"),
        (FileNotFoundError(2, "No such file or directory"), "the device is not there any more"),
        (OSError(30, "Read-only file system"), "read-only file system"),
        (OSError(19, "No such device"), "no such device"),
    ],
)
async def test_what_the_kernel_refuses_is_said(
    tmp_path: Path, control: SysfsAdapter, monkeypatch: pytest.MonkeyPatch, error: OSError, said: str
) -> None:
    usb(tmp_path)
    await control.steps()
    written(monkeypatch, fail={"authorized": error})
    with pytest.raises(StepError, match=f"^{said}$"):
        await control.take(Step.USB_RESET)


async def test_a_device_that_could_not_be_dropped_is_authorised_in_any_case(
    tmp_path: Path, control: SysfsAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    usb(tmp_path)
    await control.steps()
    log = written(monkeypatch, fail={"authorized": OSError(5, "Input/output error")})
    with pytest.raises(StepError):
        await control.take(Step.USB_RESET)
    assert log == [("authorized", "0"), ("authorized", "1")]
