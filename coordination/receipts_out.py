"""Receipts on their way to their boxes.

After a broker's return, what boxes had kept arrives over one link while the one that takes receipts away is not up
again: a receipt that was dropped then would be asked for half a minute later, by the whole region.
"""

import asyncio
import logging

from coordination.database import SignedReceipt
from exchange.errors import LinkError
from exchange.link import Link
from exchange.topics import RECEIPTS, topic

WAITS_S = 25.0
"""Real seconds for which a receipt waits for the link: a box sends again after some thirty."""
logger = logging.getLogger(__name__)


async def send(line: Link, receipt: SignedReceipt) -> None:
    """Send a receipt, once the link is up if it is down; one that cannot leave in time is dropped.

    Its box sends again what it got no receipt for, and is receipted then.
    """
    try:
        async with asyncio.timeout(WAITS_S):
            made = 0
            while True:
                made = await line.wait_generation_after(made)
                try:
                    await line.publish(topic(receipt.box, RECEIPTS), receipt.data)
                except LinkError as error:
                    if error.reason_code is not None:
                        raise
                else:
                    return
    except (LinkError, TimeoutError) as error:
        logger.info("a receipt did not leave: %s", str(error) or "no link to the broker")
