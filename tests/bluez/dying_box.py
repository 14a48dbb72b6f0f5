"""A box that opens a link to the device that is its argument, says `connected`, and waits to be killed."""

import asyncio
import sys

from devices.bleak_radio import BleakRadio


async def main() -> None:
    radio = BleakRadio(adapter="hci0")
    assert await radio.find(sys.argv[1], within=10.0) is not None
    async with radio.connect(sys.argv[1], within=10.0):
        print("connected", flush=True)
        await asyncio.Event().wait()


asyncio.run(main())
