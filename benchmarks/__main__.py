"""python -m benchmarks [NAME ...]: one JSON line a figure."""

import sys

from benchmarks import (
    at_rest,
    batch,
    codecs,
    desk_boxes,
    desk_pages,
    desk_worklist,
    drain,
    kernel,
    kill_loop,
    latency,
    live,
    peers_exchange,
    recovery,
    replay,
    sealing,
    sessions,
    start,
    store,
    wear,
)

ALL = {
    "codecs": codecs.figures,
    "store": store.figures,
    "sealing": sealing.figures,
    "wear": wear.figures,
    "sessions": sessions.figures,
    "recovery": recovery.figures,
    "start": start.figures,
    "kernel": kernel.figures,
    "batch": batch.figures,
    "live": live.figures,
    "replay": replay.figures,
    "latency": latency.figures,
    "drain": drain.figures,
    "desk_boxes": desk_boxes.figures,
    "desk_pages": desk_pages.figures,
    "desk_worklist": desk_worklist.figures,
    "kill_loop": kill_loop.figures,
    "peers_exchange": peers_exchange.figures,
    "at_rest": at_rest.figures,
}


def main() -> int:
    wanted = sys.argv[1:] or list(ALL)
    unknown = [name for name in wanted if name not in ALL]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are {', '.join(ALL)}", file=sys.stderr)
        return 2
    for name in wanted:
        ALL[name]()
    return 0


sys.exit(main())
