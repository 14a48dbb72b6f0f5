"""A population's partitions judged by a Dask cluster; the only file that imports `distributed`.

Its workers need this program, with the same version, and the partitions and the results at the same paths as here.
"""

from collections.abc import Iterator, Sequence

from distributed import Client, KilledWorker, as_completed

from agent.backtest_partitions import Judged, Task, judge_partition
from agent.errors import RequestError
from alerting.alert import Sentence


def run_on_cluster(tasks: Sequence[Task], address: str) -> Iterator[Judged]:
    """Yield what tasks give as they are done.

    Raises:
        RequestError: there is no scheduler at the address, or its workers fail.
    """
    try:
        client = Client(address, timeout=10, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise RequestError(
            Sentence(
                fr=f"{address} : aucun ordonnanceur Dask n'y répond.", en=f"No Dask scheduler answers at {address}."
            ),
            Sentence(
                fr="Vérifier l'adresse, ou laisser --scheduler pour des processus sur cette machine.",
                en="Check the address, or leave --scheduler out for processes on this machine.",
            ),
        ) from error
    with client:
        try:
            futures = client.map(judge_partition, tasks, pure=False)
            for future in as_completed(futures, loop=client.loop):  # type: ignore[no-untyped-call]
                yield future.result()
        except (KilledWorker, ImportError) as error:
            raise RequestError(
                Sentence(fr=f"Un ouvrier Dask a échoué ({error}).", en=f"A Dask worker failed ({error})."),
                Sentence(
                    fr="Y installer la même version de veilleur[analysis], puis relancer : ce qui est jugé est gardé.",
                    en="Install the same veilleur[analysis] there and run again: what was judged is kept.",
                ),
            ) from error
