// Writes with conditions, changes of metadata, and counts of values; part of abi.c.
#include "abi.h"

// Writes one record with the vector of k5.
static vecdb_code write_one(vecdb_collection c, const char *key, const char *options,
                            vecdb_written *written, vecdb_error **error) {
  const uint64_t offsets[] = {0, strlen(key)};
  return vecdb_upsert_with(c, 1, key, strlen(key), offsets, vectors + 5 * DIMENSIONS, VECDB_FLOAT32,
                           DIMENSIONS, NULL, 0, NULL, options, options ? strlen(options) : 0, written,
                           error);
}

static vecdb_code change_one(vecdb_collection c, const char *key, const char *change,
                             vecdb_written *written, vecdb_error **error) {
  const uint64_t key_offsets[] = {0, strlen(key)}, change_offsets[] = {0, strlen(change)};
  return vecdb_update(c, 1, key, strlen(key), key_offsets, change, strlen(change), change_offsets,
                      written, error);
}

void other_writes(vecdb_collection c) {
  vecdb_error *error = NULL;
  vecdb_written written = {0};
  vecdb_rows *rows = NULL;
  uint64_t count = 0;
  const vecdb_code invalid = VECDB_INVALID_ARGUMENT;

  CHECK(succeeds(write_one(c, "w", NULL, &written, &error), &error) && written.inserted == 1);
  CHECK(fails(write_one(c, "w", "{\"policy\":\"failIfExisting\"}", NULL, &error),
              VECDB_ALREADY_EXISTS, &error, "w"));
  CHECK(fails(write_one(c, "v", "{\"policy\":\"failIfMissing\"}", NULL, &error), VECDB_NOT_FOUND,
              &error, "v"));
  CHECK(succeeds(write_one(c, "v", "{\"policy\":\"skipMissing\"}", &written, &error), &error));
  CHECK(written.inserted == 0 && written.updated == 0);
  CHECK(fails(write_one(c, "w", "{\"policy\":\"x\"}", NULL, &error), invalid, &error, "policy"));
  CHECK(fails(write_one(c, "w", "{\"x\":1}", NULL, &error), invalid, &error, "options.x"));

  CHECK(succeeds(change_one(c, "w", "{\"set\":{\"state\":\"new\",\"tags\":[1,\"a\"]}}", &written,
                            &error),
                 &error));
  CHECK(written.updated == 1);
  const uint64_t one[] = {0, 1};
  CHECK(succeeds(vecdb_get(c, 1, "w", 1, one, VECDB_METADATA | VECDB_VECTORS, &rows, &error), &error));
  CHECK(rows && rows->versions[0] == written.lsn && rows->vectors[0] == vectors[5 * DIMENSIONS] &&
        strstr(rows->metadata, "\"state\":\"new\"") && strstr(rows->metadata, "[1,\"a\"]"));
  char text[64];
  snprintf(text, sizeof text, "{\"remove\":[\"state\"],\"ifVersion\":%llu}",
           rows ? (unsigned long long)rows->versions[0] : 0);
  vecdb_rows_free(rows);
  CHECK(succeeds(change_one(c, "w", text, &written, &error), &error) && written.updated == 1);
  CHECK(fails(change_one(c, "w", text, &written, &error), VECDB_CONFLICT, &error, "w"));
  CHECK(fails(change_one(c, "none", "{}", NULL, &error), VECDB_NOT_FOUND, &error, "none"));
  CHECK(fails(change_one(c, "w", "{\"set\":{\"a\":{}}}", NULL, &error), invalid, &error, "set.a"));
  CHECK(fails(change_one(c, "w", "[]", NULL, &error), invalid, &error, "w"));

  CHECK(succeeds(vecdb_update_where(c, TEXT("n < 10"), TEXT("{\"set\":{\"low\":true}}"), &written,
                                    &error),
                 &error));
  CHECK(written.updated == 10);
  CHECK(fails(vecdb_update_where(c, NULL, 0, TEXT("{}"), NULL, &error), invalid, &error, "filter"));
  CHECK(fails(vecdb_update_where(c, TEXT("true"), TEXT("{\"ifVersion\":1}"), NULL, &error), invalid,
              &error, "ifVersion"));

  char *json = NULL;
  size_t length = 0;
  CHECK(succeeds(vecdb_facets(c, TEXT("low"), TEXT("n < 20"), 5, &json, &length, &error), &error));
  CHECK(json && strstr(json, "\"matching\":20") && strstr(json, "\"missing\":10") &&
        strstr(json, "\"count\":10"));
  vecdb_text_free(json);
  CHECK(fails(vecdb_facets(c, TEXT("low"), NULL, 0, 0, NULL, NULL, &error), invalid, &error, ""));
  CHECK(fails(vecdb_facets(c, NULL, 0, NULL, 0, 5, NULL, NULL, &error), invalid, &error, "field"));

  CHECK(succeeds(vecdb_update_where(c, TEXT("true"), TEXT("{\"remove\":[\"low\"]}"), NULL, &error),
                 &error));
  CHECK(succeeds(vecdb_delete(c, 1, "w", 1, one, &written, &error), &error) && written.deleted == 1);
  CHECK(succeeds(vecdb_count(c, NULL, 0, &count, &error), &error) && count == ROWS);
}
