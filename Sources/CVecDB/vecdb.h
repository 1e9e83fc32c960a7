/* vecdb.h: the C interface of vecdb, an embedded vector database.
 *
 * RESULTS. Every function that can fail returns a `vecdb_code`: VECDB_OK (0), or what went wrong. It
 * then stores an error in `*error`, if `error` is not NULL; free it with vecdb_error_free. Results are
 * stored only on success. NULL for a result that you do not want is allowed; NULL for data that has a
 * length other than 0 is VECDB_INVALID_ARGUMENT. No input ends the process.
 *
 * TEXT is UTF-8 with an explicit length, and needs no NUL. What the library returns ends with a NUL
 * as well. LISTS OF TEXTS are one run of bytes and count + 1 offsets into it, as in Arrow: text i is
 * bytes[offsets[i]] up to bytes[offsets[i + 1]].
 *
 * OPTIONS AND REPORTS are JSON objects. NULL or an empty text stands for the defaults; an unknown
 * member is an error. Reports have the members that `vecdb VERB --json` prints.
 *
 * HANDLES are numbers that are never used again. A handle that was closed, was never given, or comes
 * from before a fork gives an error.
 *
 * THREADS. All functions may be called from any number of threads at once, with the same handle.
 * Searches, vecdb_get, vecdb_scroll and vecdb_count run on the calling thread (a search with
 * `threads` also on others) and do not wait for writers. All other functions block the calling
 * thread until the work is done elsewhere; do not call them from a thread of Swift's concurrency pool. Only the hook of vecdb_set_wait_hook is called back,
 * on the thread whose call is waiting.
 *
 * FORK. A process that has used the library may fork, but its children cannot use it: every call
 * returns VECDB_FORKED. Start them with exec, or fork before the first call. vecdb_abi_version,
 * vecdb_set_wait_hook and the functions that free or release are no use in this sense.
 *
 * EXIT. A process may exit with open handles. What was acknowledged is durable; the next opening
 * replays the log.
 *
 * VERSIONS. The upper 16 bits of vecdb_abi_version change when something is removed or changes its
 * meaning, the lower 16 when something is added. Structures that you pass begin with their size, so
 * that they can grow; structures that you get grow at their end.
 */
#ifndef VECDB_H
#define VECDB_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version that this header describes; see vecdb_abi_version. */
#define VECDB_ABI_VERSION 0x00010001u

/* ---- Errors ---------------------------------------------------------------------------------- */

/* Handle codes that you do not know like VECDB_INPUT_OUTPUT. */
typedef int32_t vecdb_code;
enum {
  VECDB_OK = 0,
  VECDB_INVALID_ARGUMENT = 1,    /* the call cannot be accepted; nothing was changed */
  VECDB_NOT_FOUND = 2,           /* a database, collection or restore point that is not there */
  VECDB_ALREADY_EXISTS = 3,      /* something of that name is there */
  VECDB_LOCKED = 4,              /* another process has the database open */
  VECDB_CORRUPT = 5,             /* bytes that are not what their checksum says */
  VECDB_UNKNOWN_VERSION = 6,     /* a format that this version does not know */
  VECDB_DISK_FULL = 7,           /* no space; nothing was changed, and reads go on */
  VECDB_INPUT_OUTPUT = 8,        /* the system refused or failed an operation */
  VECDB_POISONED = 9,            /* a write failed with unknown outcome: close and open again */
  VECDB_LIMIT_EXCEEDED = 10,     /* a documented limit */
  VECDB_OVERLOADED = 11,         /* the queue stayed full; nothing was written */
  VECDB_CLOSED = 12,             /* the handle is closed, or the collection was dropped */
  VECDB_CANCELLED = 13,          /* the wait hook asked to stop */
  VECDB_VERIFICATION_FAILED = 14, /* a restore did not pass its proof; nothing was made live */
  VECDB_READ_ONLY = 15,          /* this copy follows another one */
  VECDB_NOT_PRIMARY = 16,        /* the primary is handing over to another node */
  VECDB_OUTCOME_UNKNOWN = 17,    /* durable here, but not confirmed by enough replicas in time */
  VECDB_NOT_REACHED = 18,        /* the state asked for was not reached in time */
  VECDB_CONFLICT = 19,           /* the record is not the version that the write asks for */
  VECDB_FORKED = 64,             /* the library was used before this process was forked */
  VECDB_OTHER = 255              /* a code without a number; see `name` */
};

/* All texts end with a NUL and are never NULL. */
typedef struct vecdb_error {
  vecdb_code code;
  const char *name;     /* the code in words, such as "notFound" */
  const char *message;  /* what happened */
  const char *location; /* the file, key or argument; may be empty */
  const char *remedy;   /* what to do; may be empty */
} vecdb_error;

/* NULL is allowed. */
void vecdb_error_free(vecdb_error *error);

/* Frees a text that the library returned. NULL is allowed. */
void vecdb_text_free(char *text);

/* ---- The library ----------------------------------------------------------------------------- */

/* Compare its upper 16 bits with those of VECDB_ABI_VERSION before you call anything else. */
uint32_t vecdb_abi_version(void);

/* While a call waits, the library calls `hook` on the waiting thread about every 50 ms, and between
 * the queries of a long batch. If it returns another value than 0, the library cancels the call, which
 * then ends as soon as it can with VECDB_CANCELLED, or with success where it was too late. The hook
 * must not call the library. NULL removes it. Set it before other threads call the library. */
void vecdb_set_wait_hook(int32_t (*hook)(void *context), void *context);

/* ---- Databases ------------------------------------------------------------------------------- */

typedef uint64_t vecdb_database;
typedef uint64_t vecdb_collection;

/* Opens the database in the directory `path`. Only one process can have it open.
 *
 * Options: "createIfMissing" (true), "checkpointOnClose" (true), "controlSocket" (true: the `vecdb`
 * command works meanwhile), "buildThreads" (0: one per core), "checkpointLogBytes",
 * "backupBytesPerSecond", "scrubBytesPerSecond" (null turns the scrub off), "rebuildPolicy" ("on",
 * "suggest", "off"), "logLevel" ("off", "error", "warning", "info", "debug"; default "warning"; the
 * log goes to standard error).
 * Cost: independent of the number of records after a clean close; otherwise a replay of the log. */
vecdb_code vecdb_open(const char *path, size_t path_length, const char *options,
                      size_t options_length, vecdb_database *database, vecdb_error **error);

/* Waits for writes, writes a checkpoint and closes. The handle is closed even where this fails.
 * Closing again does nothing. */
vecdb_code vecdb_close(vecdb_database database, vecdb_error **error);

/* Counters, and digests of the data; with `graph_digests` other than 0 also of the graphs, which
 * reads all links. Free the text. */
vecdb_code vecdb_stats(vecdb_database database, int32_t graph_digests, char **json, size_t *length,
                       vecdb_error **error);

/* Writes a checkpoint, so that the next opening replays no log. */
vecdb_code vecdb_checkpoint(vecdb_database database, char **json, size_t *length,
                            vecdb_error **error);

/* Reads every block, log frame, record and link. Damage is a result: see "problems". */
vecdb_code vecdb_check(vecdb_database database, char **json, size_t *length, vecdb_error **error);

/* ---- Collections ----------------------------------------------------------------------------- */

/* Creates a collection. The metric is "l2", "cosine", "dot" or "hamming".
 * Options: "m" (16), "efConstruction" (128), "codes" ("automatic", "bytes", "float32").
 * Free the handle with vecdb_collection_release. */
vecdb_code vecdb_create_collection(vecdb_database database, const char *name, size_t name_length,
                                   size_t dimensions, const char *metric, size_t metric_length,
                                   const char *options, size_t options_length,
                                   vecdb_collection *collection, vecdb_error **error);

/* The handle of a collection. Free it with vecdb_collection_release. */
vecdb_code vecdb_open_collection(vecdb_database database, const char *name, size_t name_length,
                                 vecdb_collection *collection, vecdb_error **error);

/* Forgets the handle; the collection stays. Releasing again, and 0, do nothing. */
void vecdb_collection_release(vecdb_collection collection);

/* Removes a collection and its records. */
vecdb_code vecdb_drop_collection(vecdb_database database, const char *name, size_t name_length,
                                 vecdb_error **error);

/* A JSON array: name, dimensions, metric, index and count of each collection. Free the text. */
vecdb_code vecdb_collections(vecdb_database database, char **json, size_t *length,
                             vecdb_error **error);

/* Its name, dimensions, metric, count, m and efConstruction. Free the text. */
vecdb_code vecdb_collection_info(vecdb_collection collection, char **json, size_t *length,
                                 vecdb_error **error);

/* ---- Writing --------------------------------------------------------------------------------- */

/* The type of a component, as in VectorRecord. */
typedef int32_t vecdb_type;
enum {
  VECDB_FLOAT32 = 0,
  VECDB_FLOAT16 = 1,
  VECDB_INT8 = 2,
  VECDB_BITS = 3 /* 8 components a byte, the first in the highest bit, as numpy.packbits has them */
};

/* What a write did. `lsn` and `epoch` name its place in the log. */
typedef struct vecdb_written {
  uint64_t epoch;
  uint64_t lsn;
  uint64_t inserted;
  uint64_t updated;
  uint64_t unchanged;
  uint64_t deleted;
  uint64_t batches;
} vecdb_written;

/* Writes `count` records. Returns when they are durable and searchable. Up to 16 MiB are one batch,
 * which is written whole or not at all.
 *
 * `vectors` has `count` rows of `columns` components without gaps (with VECDB_BITS: of `columns`
 * bytes), aligned to a component. `metadata` has a JSON object or an empty text for each record;
 * `metadata_offsets` NULL means none for all. The library copies what it needs.
 * Cost: a sync of the log, shared with other writers; about 20 us and more a record for the index. */
vecdb_code vecdb_upsert(vecdb_collection collection, size_t count, const char *keys,
                        size_t keys_length, const uint64_t *key_offsets, const void *vectors,
                        vecdb_type type, size_t columns, const char *metadata,
                        size_t metadata_length, const uint64_t *metadata_offsets,
                        vecdb_written *written, vecdb_error **error);

/* As vecdb_upsert, since version 1.1. Options: "policy" ("overwrite", "skipExisting",
 * "failIfExisting", "skipMissing", "failIfMissing"), or "ifVersion" for one record, which must have this
 * version, else VECDB_CONFLICT; "expiresMilliseconds" (since 1970), when the records are deleted. Records
 * that a policy skips are in no count. */
vecdb_code vecdb_upsert_with(vecdb_collection collection, size_t count, const char *keys,
                             size_t keys_length, const uint64_t *key_offsets, const void *vectors,
                             vecdb_type type, size_t columns, const char *metadata,
                             size_t metadata_length, const uint64_t *metadata_offsets,
                             const char *options, size_t options_length, vecdb_written *written,
                             vecdb_error **error);

/* Changes the metadata of records and leaves their vectors, since version 1.1. Up to 16 MiB are one batch.
 * A change is a JSON object: "set" (fields and values), "remove" (names), "removeOthers" (false),
 * "ifVersion", "expiresMilliseconds" (0: never). A key that is not there is VECDB_NOT_FOUND. */
vecdb_code vecdb_update(vecdb_collection collection, size_t count, const char *keys,
                        size_t keys_length, const uint64_t *key_offsets, const char *changes,
                        size_t changes_length, const uint64_t *change_offsets,
                        vecdb_written *written, vecdb_error **error);

/* Makes one change, without "ifVersion", in all records that match a filter, since version 1.1. */
vecdb_code vecdb_update_where(vecdb_collection collection, const char *filter, size_t filter_length,
                              const char *change, size_t change_length, vecdb_written *written,
                              vecdb_error **error);

/* Deletes the records with these keys as one batch; other keys are ignored. */
vecdb_code vecdb_delete(vecdb_collection collection, size_t count, const char *keys,
                        size_t keys_length, const uint64_t *key_offsets, vecdb_written *written,
                        vecdb_error **error);

/* Deletes the records that match a filter, such as year >= 2020 and lang in ('de', 'en'). */
vecdb_code vecdb_delete_where(vecdb_collection collection, const char *filter, size_t filter_length,
                              vecdb_written *written, vecdb_error **error);

/* ---- Reading --------------------------------------------------------------------------------- */

/* What to return beside keys. */
enum { VECDB_METADATA = 1, VECDB_VECTORS = 2 };

/* Rows that a call found. Arrays that were not asked for are NULL. All belong to the rows. */
typedef struct vecdb_rows {
  size_t count;
  size_t dimensions;
  const char *keys;
  const uint64_t *key_offsets;      /* count + 1 */
  const char *metadata;             /* JSON objects */
  const uint64_t *metadata_offsets; /* count + 1 */
  const float *vectors;             /* count x dimensions */
  const float *distances;           /* vecdb_search: count */
  size_t queries;                   /* vecdb_search */
  const uint64_t *query_offsets;    /* vecdb_search: queries + 1; rows of query i, nearest first */
  const uint8_t *found;             /* vecdb_get: 1 or 0 for each key asked for */
  const char *next;                 /* vecdb_scroll: the next cursor; NULL at the end */
  size_t next_length;
  const char *warning;              /* vecdb_search: that an index finds too little; or NULL */
  uint64_t lsn;                     /* vecdb_search: the state that was searched, the oldest of all */
  /* Since version 1.1: */
  const char *groups;               /* vecdb_search_grouped: the groups' values, a JSON array; or NULL */
  size_t groups_length;
  const uint64_t *versions;         /* vecdb_get, vecdb_scroll: count; for "ifVersion" */
} vecdb_rows;

/* NULL is allowed. */
void vecdb_rows_free(vecdb_rows *rows);

typedef struct vecdb_search_options {
  size_t size;          /* sizeof(vecdb_search_options) */
  size_t k;             /* 1 to 65,536 */
  size_t ef;            /* candidates, 1 to 65,536; 0: the default */
  double recall;        /* the recall to reach, such as 0.95; 0: `ef` counts */
  const char *filter;   /* as in vecdb_delete_where; NULL: none */
  size_t filter_length;
  uint32_t fields;      /* VECDB_METADATA, VECDB_VECTORS */
  uint32_t exact;       /* other than 0: compare with every record */
  /* Since version 1.1, and read only where `size` includes it: */
  size_t threads;       /* vecdb_search: threads that share the queries, up to 1,024; 0, 1: the caller's */
} vecdb_search_options;

/* The k nearest records of each of `count` queries, in one call. `queries` is laid out as `vectors` of
 * vecdb_upsert. Fewer than k rows come only where fewer records match. Takes no lock that writers
 * hold. Free the rows. */
vecdb_code vecdb_search(vecdb_collection collection, size_t count, const void *queries,
                        vecdb_type type, size_t columns, const vecdb_search_options *options,
                        vecdb_rows **rows, vecdb_error **error);

/* The searches below are new in version 1.1. They answer one query, as vecdb_search does; all members of
 * `options` but `threads` count. Free the rows. */

/* k records that are near to the query and unlike each other (maximal marginal relevance), in the order
 * in which they were chosen. `lambda` is 0 (only unlike) to 1 (only near), such as 0.5. They are chosen
 * from the `candidates` nearest records, k to 65,536; 0: four times k, and at least 50. */
vecdb_code vecdb_search_diverse(vecdb_collection collection, const void *query, vecdb_type type,
                                size_t columns, const vecdb_search_options *options, double lambda,
                                size_t candidates, vecdb_rows **rows, vecdb_error **error);

/* All records at most `distance` away, nearest first; at most `k`, where it is not 0. Without k, more than
 * 65,536 are VECDB_LIMIT_EXCEEDED. */
vecdb_code vecdb_search_within(vecdb_collection collection, const void *query, vecdb_type type,
                               size_t columns, const vecdb_search_options *options, float distance,
                               vecdb_rows **rows, vecdb_error **error);

/* The nearest records in groups of those that have the same value in `field`: k groups of `per_group`
 * records. `groups` of the rows has the values, and the rows of group i are those from
 * query_offsets[i]. The group with the nearest record comes first. */
vecdb_code vecdb_search_grouped(vecdb_collection collection, const void *query, vecdb_type type,
                                size_t columns, const vecdb_search_options *options,
                                const char *field, size_t field_length, size_t per_group,
                                vecdb_rows **rows, vecdb_error **error);

/* The records near to those with the keys, and away from those with the `away` keys, of which there may
 * be none. The records named are not in the answer. A key that no record has is VECDB_NOT_FOUND. */
vecdb_code vecdb_search_near(vecdb_collection collection, size_t count, const char *keys,
                             size_t keys_length, const uint64_t *key_offsets, size_t away_count,
                             const char *away_keys, size_t away_keys_length,
                             const uint64_t *away_key_offsets, const vecdb_search_options *options,
                             vecdb_rows **rows, vecdb_error **error);

/* The records with these keys: a row for each, in their order, empty where `found` is 0. */
vecdb_code vecdb_get(vecdb_collection collection, size_t count, const char *keys, size_t keys_length,
                     const uint64_t *key_offsets, uint32_t fields, vecdb_rows **rows,
                     vecdb_error **error);

/* A page of up to `limit` (1 to 10,000) records in the order of their keys' bytes. `cursor` is `next`
 * of the page before, NULL for the first one. With a filter, pages may be shorter before the end. */
vecdb_code vecdb_scroll(vecdb_collection collection, const char *cursor, size_t cursor_length,
                        size_t limit, const char *filter, size_t filter_length, uint32_t fields,
                        vecdb_rows **rows, vecdb_error **error);

/* How many records match; all records where `filter` is NULL. */
vecdb_code vecdb_count(vecdb_collection collection, const char *filter, size_t filter_length,
                       uint64_t *count, vecdb_error **error);

/* Counts the values of a field in the records that match, the most frequent first: at most `limit` of
 * them, 1 to 65,536. Since version 1.1. Free the text. */
vecdb_code vecdb_facets(vecdb_collection collection, const char *field, size_t field_length,
                        const char *filter, size_t filter_length, size_t limit, char **json,
                        size_t *length, vecdb_error **error);

/* ---- Backups --------------------------------------------------------------------------------- */

/* Sends what the repository lacks. Options: "bytesPerSecond", "lowPriority" (true), "repair" (false). */
vecdb_code vecdb_backup(vecdb_database database, const char *repository, size_t repository_length,
                        const char *options, size_t options_length, char **json, size_t *length,
                        vecdb_error **error);

/* Builds a copy beside `path`, proves it, then renames it into place. Options: at most one of "lsn",
 * "timeMilliseconds" (since 1970) and "mark"; "verification" ("full", "quick"), "collections" (names),
 * "replacing", "discardsUnsaved", "replacesUnrelated", "continues" (all false). */
vecdb_code vecdb_restore(const char *repository, size_t repository_length, const char *path,
                         size_t path_length, const char *options, size_t options_length, char **json,
                         size_t *length, vecdb_error **error);

/* A JSON array of the restore points. */
vecdb_code vecdb_backups(const char *repository, size_t repository_length, char **json,
                         size_t *length, vecdb_error **error);

/* Proves that the restore points can be restored. Options: "verification" ("full", "quick"),
 * "samples" (0: how many restores to try). */
vecdb_code vecdb_verify(const char *repository, size_t repository_length, const char *options,
                        size_t options_length, char **json, size_t *length, vecdb_error **error);

/* Names the present state. */
vecdb_code vecdb_mark(vecdb_database database, const char *name, size_t name_length, char **json,
                      size_t *length, vecdb_error **error);

/* Forgets a name. */
vecdb_code vecdb_remove_mark(vecdb_database database, const char *name, size_t name_length,
                             vecdb_error **error);

/* A JSON array of the marks of a database. */
vecdb_code vecdb_marks(vecdb_database database, char **json, size_t *length, vecdb_error **error);

/* ---- Rebuilds -------------------------------------------------------------------------------- */

/* Builds a new index while the old one serves, swaps them if the new one is as good, and returns then.
 * Options: "m", "efConstruction", "codes", "threads" (1), "recordsPerSecond", "minimumRecall",
 * "graceSeconds" (600). */
vecdb_code vecdb_rebuild(vecdb_collection collection, const char *options, size_t options_length,
                         char **json, size_t *length, vecdb_error **error);

/* How far a rebuild is. */
vecdb_code vecdb_rebuild_status(vecdb_collection collection, char **json, size_t *length,
                                vecdb_error **error);

#ifdef __cplusplus
}
#endif

#endif
