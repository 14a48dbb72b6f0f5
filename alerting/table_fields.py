"""The fields of a schema of a table, looked up once a process.

Msgspec reads the annotations of a class anew each time it is asked: a page that shows every bound of a protocol would
ask thousands of times.
"""

from functools import cache

import msgspec
from msgspec.structs import FieldInfo


@cache
def fields_of(schema: type[msgspec.Struct]) -> tuple[FieldInfo, ...]:
    """Return the fields of a schema, in their order."""
    return tuple(msgspec.structs.fields(schema))
