"""The order of the tests: the longest files begin first, whatever the order of the others (pytest-randomly's).

A file is run by one worker (`make test`): a long one that begins last keeps the other workers waiting.
"""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
