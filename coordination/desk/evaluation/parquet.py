"""The tables as Parquet, made of their CSV with the types of the dictionary; pyarrow is of the `analysis` extra."""

from pathlib import Path

import pyarrow as pa
from pyarrow import csv, parquet

from coordination.desk.evaluation.dictionary import DAY, DECIMAL, TEXT, TIME, WHOLE, Table

_TYPES = {
    TEXT: pa.string(),
    WHOLE: pa.int64(),
    DECIMAL: pa.decimal128(18, 4),
    TIME: pa.timestamp("s", tz="UTC"),
    DAY: pa.date32(),
}


def as_parquet(folder: Path, table: Table) -> None:
    """Write `<table>.parquet` beside `<table>.csv`."""
    types = {column.name: _TYPES[column.type] for column in table.columns}
    options = csv.ConvertOptions(column_types=types, strings_can_be_null=True, null_values=[""])
    schema = pa.schema(list(types.items()))
    with (
        csv.open_csv(folder / f"{table.name}.csv", convert_options=options) as rows,
        parquet.ParquetWriter(folder / f"{table.name}.parquet", schema, compression="zstd") as out,
    ):
        for batch in rows:
            out.write_batch(batch)
