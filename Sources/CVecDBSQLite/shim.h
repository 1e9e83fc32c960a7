#ifndef VECDB_CSQLITE_SHIM_H
#define VECDB_CSQLITE_SHIM_H

#include <sqlite3.h>

// SQLITE_TRANSIENT is a cast that Swift does not import.
static inline int vecdb_sqlite3_bind_blob_copy(sqlite3_stmt *statement, int index, const void *bytes,
                                               sqlite3_uint64 count) {
  return sqlite3_bind_blob64(statement, index, bytes, count, SQLITE_TRANSIENT);
}

static inline int vecdb_sqlite3_bind_text_copy(sqlite3_stmt *statement, int index, const char *bytes,
                                               sqlite3_uint64 count) {
  return sqlite3_bind_text64(statement, index, bytes, count, SQLITE_TRANSIENT, SQLITE_UTF8);
}

// sqlite3_db_config is variadic, which Swift does not import either.
static inline int vecdb_sqlite3_no_checkpoint_on_close(sqlite3 *database) {
  return sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)0);
}

#endif
