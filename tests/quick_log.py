"""Speed up the `logs.db` of `llm`: copy a migrated database, since migrations are slow."""

import sqlite3
from functools import cache
from typing import Any

from llm import migrations

_migrate = migrations.migrate


@cache
def _empty() -> sqlite3.Connection:
    import sqlite_utils

    connection = sqlite3.connect(":memory:", check_same_thread=False)
    _migrate(sqlite_utils.Database(connection))  # type: ignore[no-untyped-call]
    return connection


def migrate(db: Any) -> None:
    """Fill an empty database from the copy; migrate any other."""
    if db.conn.execute("select 1 from sqlite_master").fetchone() is None:
        _empty().backup(db.conn)
    _migrate(db)  # type: ignore[no-untyped-call]


# Must run before any module imports `migrate` by name.
migrations.migrate = migrate
