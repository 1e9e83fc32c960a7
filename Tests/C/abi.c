// A program in C that uses the library as a stranger would: what it should do, and what must be an
// error. scripts/check-c runs it, under the address sanitizer where there is one.
#define _DEFAULT_SOURCE
#include "abi.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int failures, checks;
float vectors[ROWS * DIMENSIONS];
static char keys[ROWS * 8], metadata[ROWS * 32];
static uint64_t key_offsets[ROWS + 1], metadata_offsets[ROWS + 1];

static void make_records(void) {
  uint32_t state = 1;
  for (size_t place = 0; place < ROWS * DIMENSIONS; place++) {
    state = state * 1664525u + 1013904223u;
    vectors[place] = (float)(state >> 8) / (1 << 24);
  }
  for (size_t row = 0; row < ROWS; row++) {
    key_offsets[row + 1] =
        key_offsets[row] + (uint64_t)sprintf(keys + key_offsets[row], "k%zu", row);
    metadata_offsets[row + 1] =
        metadata_offsets[row] +
        (uint64_t)sprintf(metadata + metadata_offsets[row], "{\"n\":%zu}", row);
  }
}

static vecdb_code upsert(vecdb_collection collection, size_t count, const void *rows,
                         vecdb_written *written, vecdb_error **error) {
  return vecdb_upsert(collection, count, keys, key_offsets[ROWS], key_offsets, rows, VECDB_FLOAT32,
                      DIMENSIONS, metadata, metadata_offsets[ROWS], metadata_offsets, written,
                      error);
}

static void records(vecdb_database database, vecdb_collection c) {
  vecdb_error *error = NULL;
  vecdb_written written = {0};
  vecdb_rows *rows = NULL;
  uint64_t count = 0;
  CHECK(succeeds(upsert(c, ROWS, vectors, &written, &error), &error));
  CHECK(written.inserted == ROWS && written.batches == 1 && written.lsn > 0);
  CHECK(succeeds(upsert(c, ROWS, vectors, &written, &error), &error));
  CHECK(written.unchanged == ROWS && written.inserted == 0);
  CHECK(succeeds(vecdb_count(c, NULL, 0, &count, &error), &error) && count == ROWS);
  CHECK(succeeds(vecdb_count(c, TEXT("n < 100"), &count, &error), &error) && count == 100);

  // Each record is the nearest to its own vector.
  vecdb_search_options options = options_of(3, NULL);
  options.exact = 1;
  options.fields = VECDB_METADATA | VECDB_VECTORS;
  CHECK(succeeds(vecdb_search(c, ROWS, vectors, VECDB_FLOAT32, DIMENSIONS, &options, &rows, &error),
                 &error));
  if (rows) {
    CHECK(rows->queries == ROWS && rows->count == ROWS * 3 && rows->dimensions == DIMENSIONS);
    for (size_t row = 0; row < ROWS; row++) {
      uint64_t hit = rows->query_offsets[row];
      size_t length = (size_t)(key_offsets[row + 1] - key_offsets[row]);
      CHECK(rows->query_offsets[row + 1] == hit + 3 && rows->distances[hit] == 0);
      CHECK(rows->key_offsets[hit + 1] - rows->key_offsets[hit] == length &&
            !memcmp(rows->keys + rows->key_offsets[hit], keys + key_offsets[row], length));
      CHECK(!memcmp(rows->vectors + hit * DIMENSIONS, vectors + row * DIMENSIONS,
                    DIMENSIONS * sizeof(float)));
      length = (size_t)(metadata_offsets[row + 1] - metadata_offsets[row]);
      CHECK(!memcmp(rows->metadata + rows->metadata_offsets[hit],
                    metadata + metadata_offsets[row], length));
    }
  }
  vecdb_rows_free(rows);
  rows = NULL;
  options = options_of(10, "n in (7, 8)");
  CHECK(succeeds(vecdb_search(c, 1, vectors, VECDB_FLOAT32, DIMENSIONS, &options, &rows, &error),
                 &error));
  CHECK(rows && rows->count == 2 && !rows->metadata && !rows->vectors);
  vecdb_rows_free(rows);
  rows = NULL;
  CHECK(succeeds(vecdb_search(c, 0, NULL, VECDB_FLOAT32, DIMENSIONS, &options, &rows, &error),
                 &error));
  CHECK(rows && rows->count == 0 && rows->queries == 0 && rows->query_offsets[0] == 0);
  vecdb_rows_free(rows);

  // The same answers on several threads.
  vecdb_rows *alone = NULL;
  options = options_of(5, NULL);
  CHECK(succeeds(vecdb_search(c, ROWS, vectors, VECDB_FLOAT32, DIMENSIONS, &options, &alone, &error),
                 &error));
  options.threads = 3;
  rows = NULL;
  CHECK(succeeds(vecdb_search(c, ROWS, vectors, VECDB_FLOAT32, DIMENSIONS, &options, &rows, &error),
                 &error));
  CHECK(alone && rows && alone->count == rows->count &&
        !memcmp(alone->key_offsets, rows->key_offsets, (rows->count + 1) * sizeof(uint64_t)) &&
        !memcmp(alone->keys, rows->keys, rows->key_offsets[rows->count]));
  vecdb_rows_free(alone);
  vecdb_rows_free(rows);
  // A program that was compiled with version 1.0 passes options that end before `threads`.
  options.size = offsetof(vecdb_search_options, threads);
  options.threads = SIZE_MAX;
  rows = NULL;
  CHECK(succeeds(vecdb_search(c, 1, vectors, VECDB_FLOAT32, DIMENSIONS, &options, &rows, &error),
                 &error));
  CHECK(rows && rows->count == 5);
  vecdb_rows_free(rows);

  other_searches(c);
  other_writes(c);

  // Two keys, of which one is not there.
  const uint64_t two[] = {0, 2, 9};
  rows = NULL;
  CHECK(succeeds(vecdb_get(c, 2, TEXT("k5missing"), two, VECDB_VECTORS, &rows, &error), &error));
  CHECK(rows && rows->count == 2 && rows->found[0] == 1 && rows->found[1] == 0 &&
        rows->vectors[0] == vectors[5 * DIMENSIONS]);
  vecdb_rows_free(rows);

  char cursor[64];
  size_t cursor_length = 0, seen = 0, pages = 0;
  do {
    rows = NULL;
    CHECK(succeeds(vecdb_scroll(c, pages ? cursor : NULL, cursor_length, 64, NULL, 0, 0, &rows,
                                &error),
                   &error));
    if (!rows) break;
    seen += rows->count;
    pages++;
    cursor_length = rows->next ? rows->next_length : 0;
    if (rows->next) memcpy(cursor, rows->next, cursor_length + 1);
    vecdb_rows_free(rows);
  } while (cursor_length > 0 && pages < ROWS);
  CHECK(seen == ROWS && pages >= 8);

  CHECK(succeeds(vecdb_delete(c, 2, TEXT("k5missing"), two, &written, &error), &error));
  CHECK(written.deleted == 1);
  CHECK(succeeds(vecdb_delete_where(c, TEXT("n >= 400"), &written, &error), &error));
  CHECK(written.deleted == 100);
  CHECK(succeeds(vecdb_count(c, NULL, 0, &count, &error), &error) && count == ROWS - 101);
  char *json = NULL;
  size_t length = 0;
  CHECK(succeeds(vecdb_stats(database, 1, &json, &length, &error), &error));
  CHECK(json && strlen(json) == length && strstr(json, "\"graphDigest\":\""));
  vecdb_text_free(json);
  json = NULL;
  CHECK(succeeds(vecdb_collection_info(c, &json, &length, &error), &error));
  CHECK(json && strstr(json, "\"dimensions\":8") && strstr(json, "\"metric\":\"l2\""));
  vecdb_text_free(json);
}

static void bad_input(vecdb_database database, vecdb_collection c) {
  vecdb_error *error = NULL;
  vecdb_rows *rows = NULL;
  vecdb_database other = 0;
  vecdb_search_options options = options_of(3, NULL);
  const vecdb_code invalid = VECDB_INVALID_ARGUMENT;

  CHECK(fails(vecdb_open(NULL, 0, NULL, 0, &other, &error), invalid, &error, "path"));
  CHECK(fails(vecdb_open(NULL, 7, NULL, 0, &other, &error), invalid, &error, "path"));
  CHECK(fails(vecdb_open("\xff\xfe", 2, NULL, 0, &other, &error), invalid, &error, "path"));
  CHECK(fails(vecdb_open("x", SIZE_MAX, NULL, 0, &other, &error), invalid, &error, "path"));
  CHECK(fails(vecdb_open(TEXT("x"), TEXT("{\"nothing\":1}"), &other, &error), invalid, &error,
              "options.nothing"));
  CHECK(fails(vecdb_open(TEXT("x"), TEXT("{\"buildThreads\":-1}"), &other, &error), invalid, &error,
              "options.buildThreads"));
  CHECK(fails(vecdb_open(TEXT("x"), TEXT("[1"), &other, &error), invalid, &error, "options"));
  CHECK(fails(vecdb_open(TEXT("x"), NULL, 0, NULL, &error), invalid, &error, "database"));
  CHECK(fails(vecdb_open(TEXT("nowhere"), TEXT("{\"createIfMissing\":false}"), &other, &error),
              VECDB_NOT_FOUND, &error, "nowhere"));
  CHECK(vecdb_open(NULL, 0, NULL, 0, &other, NULL) == invalid);
  CHECK(fails(vecdb_stats(0, 0, NULL, NULL, &error), invalid, &error, "database"));
  CHECK(fails(vecdb_stats(UINT64_MAX, 0, NULL, NULL, &error), invalid, &error, "database"));
  CHECK(fails(vecdb_close(12345, &error), invalid, &error, "database"));
  CHECK(fails(vecdb_open_collection(database, TEXT("none"), &other, &error), VECDB_NOT_FOUND, &error,
              ""));
  CHECK(fails(vecdb_create_collection(database, TEXT("x"), 8, TEXT("far"), NULL, 0, NULL, &error),
              invalid, &error, "metric"));
  CHECK(fails(vecdb_create_collection(database, TEXT("x"), SIZE_MAX, TEXT("l2"), NULL, 0, NULL,
                                      &error),
              invalid, &error, ""));
  CHECK(fails(vecdb_create_collection(database, TEXT("c"), 8, TEXT("l2"), NULL, 0, NULL, &error),
              VECDB_ALREADY_EXISTS, &error, ""));

  // Vectors.
  CHECK(fails(upsert(c, 1, NULL, NULL, &error), invalid, &error, "vectors"));
  CHECK(fails(upsert(c, 1, (char *)vectors + 1, NULL, &error), invalid, &error, "vectors"));
  CHECK(fails(upsert(c, SIZE_MAX, vectors, NULL, &error), invalid, &error, "vectors"));
  CHECK(fails(upsert(c, (size_t)1 << 62, vectors, NULL, &error), invalid, &error, "vectors"));
  CHECK(fails(vecdb_upsert(c, 1, TEXT("k"), key_offsets, vectors, 9, 8, NULL, 0, NULL, NULL, &error),
              invalid, &error, "vectors"));
  CHECK(fails(vecdb_upsert(c, 1, TEXT("k"), key_offsets, vectors, VECDB_FLOAT32, 7, NULL, 0, NULL,
                           NULL, &error),
              invalid, &error, "vectors"));
  CHECK(fails(vecdb_upsert(c, 1, TEXT("k"), key_offsets, vectors, VECDB_BITS, SIZE_MAX / 4, NULL, 0,
                           NULL, NULL, &error),
              invalid, &error, "vectors"));
  float bad[DIMENSIONS] = {0, 0, NAN};
  CHECK(fails(upsert(c, 1, bad, NULL, &error), invalid, &error, "k0"));
  // Keys.
  const uint64_t falling[] = {2, 1}, far[] = {0, 1000000};
  CHECK(fails(vecdb_upsert(c, 1, TEXT("ab"), falling, vectors, VECDB_FLOAT32, 8, NULL, 0, NULL, NULL,
                           &error),
              invalid, &error, "keys 0"));
  CHECK(fails(vecdb_upsert(c, 1, TEXT("ab"), far, vectors, VECDB_FLOAT32, 8, NULL, 0, NULL, NULL,
                           &error),
              invalid, &error, "keys 0"));
  CHECK(fails(vecdb_upsert(c, 1, TEXT("ab"), NULL, vectors, VECDB_FLOAT32, 8, NULL, 0, NULL, NULL,
                           &error),
              invalid, &error, "keys"));
  const uint64_t one[] = {0, 1};
  CHECK(fails(vecdb_upsert(c, 1, TEXT("k"), one, vectors, VECDB_FLOAT32, 8, TEXT("["), one, NULL,
                           &error),
              invalid, &error, "key 'k'"));
  CHECK(fails(vecdb_delete(c, 1, "\xff", 1, one, NULL, &error), invalid, &error, "keys 0"));
  CHECK(fails(vecdb_get(c, 1, TEXT("k"), one, 8, &rows, &error), invalid, &error, "fields"));
  // Searches.
  CHECK(fails(vecdb_search(c, 1, NULL, VECDB_FLOAT32, 8, &options, &rows, &error), invalid, &error,
              "queries"));
  CHECK(fails(vecdb_search(c, 1, vectors, VECDB_FLOAT32, 8, NULL, &rows, &error), invalid, &error,
              "options"));
  CHECK(fails(vecdb_search(c, 1, bad, VECDB_FLOAT32, 8, &options, &rows, &error), invalid, &error,
              "query"));
  float pair[2 * DIMENSIONS] = {0};
  pair[DIMENSIONS] = INFINITY;
  CHECK(fails(vecdb_search(c, 2, pair, VECDB_FLOAT32, 8, &options, &rows, &error), invalid, &error,
              "query 1"));
  options.size = 4;
  CHECK(fails(vecdb_search(c, 1, vectors, VECDB_FLOAT32, 8, &options, &rows, &error), invalid,
              &error, "options.size"));
  const size_t odd[] = {0, 65537, SIZE_MAX};
  for (size_t place = 0; place < 3; place++) {
    options = options_of(odd[place], NULL);
    CHECK(fails(vecdb_search(c, 1, vectors, VECDB_FLOAT32, 8, &options, &rows, &error), invalid,
                &error, "query"));
  }
  options = options_of(3, "year >");
  CHECK(fails(vecdb_search(c, 1, vectors, VECDB_FLOAT32, 8, &options, &rows, &error), invalid,
              &error, "filter"));
  options = options_of(3, NULL);
  options.recall = NAN;
  CHECK(fails(vecdb_search(c, 1, vectors, VECDB_FLOAT32, 8, &options, &rows, &error), invalid,
              &error, "query"));
  CHECK(fails(vecdb_scroll(c, NULL, 0, 0, NULL, 0, 0, &rows, &error), invalid, &error, ""));
  CHECK(fails(vecdb_delete_where(c, NULL, 0, NULL, &error), invalid, &error, "filter"));
  CHECK(rows == NULL);
  vecdb_error_free(NULL);
  vecdb_text_free(NULL);
  vecdb_rows_free(NULL);
  vecdb_collection_release(0);
}

static void backups(vecdb_database database) {
  vecdb_error *error = NULL;
  char *json = NULL;
  CHECK(succeeds(vecdb_mark(database, TEXT("before"), NULL, NULL, &error), &error));
  CHECK(succeeds(vecdb_marks(database, &json, NULL, &error), &error));
  CHECK(json && strstr(json, "\"before\""));
  vecdb_text_free(json);
  json = NULL;
  CHECK(succeeds(vecdb_backup(database, TEXT("repository"), NULL, 0, &json, NULL, &error), &error));
  CHECK(json && strstr(json, "\"newBytes\":"));
  vecdb_text_free(json);
  json = NULL;
  CHECK(succeeds(vecdb_backups(TEXT("repository"), &json, NULL, &error), &error));
  CHECK(json && strstr(json, "\"records\":399"));
  vecdb_text_free(json);
  CHECK(succeeds(vecdb_verify(TEXT("repository"), NULL, 0, NULL, NULL, &error), &error));
  CHECK(succeeds(vecdb_restore(TEXT("repository"), TEXT("copy"), TEXT("{\"mark\":\"before\"}"), NULL,
                               NULL, &error),
                 &error));
  CHECK(fails(vecdb_restore(TEXT("repository"), TEXT("copy"), NULL, 0, NULL, NULL, &error),
              VECDB_ALREADY_EXISTS, &error, "copy"));
  CHECK(fails(vecdb_restore(TEXT("repository"), TEXT("copy2"), TEXT("{\"lsn\":1,\"mark\":\"m\"}"),
                            NULL, NULL, &error),
              VECDB_INVALID_ARGUMENT, &error, "options"));
  CHECK(succeeds(vecdb_check(database, &json, NULL, &error), &error));
  CHECK(json && strstr(json, "\"problems\":[]"));
  vecdb_text_free(json);
  CHECK(succeeds(vecdb_checkpoint(database, NULL, NULL, &error), &error));
  CHECK(succeeds(vecdb_remove_mark(database, TEXT("before"), &error), &error));
}

// A child cannot use what its parent opened, and must not hang in it.
static void forked(vecdb_database database, vecdb_collection c) {
  fflush(stderr);
  pid_t child = fork();
  if (child == 0) {
    alarm(20);
    vecdb_error *error = NULL;
    vecdb_search_options options = options_of(1, NULL);
    vecdb_database other = 0;
    failures = 0;
    CHECK(fails(vecdb_search(c, 1, vectors, VECDB_FLOAT32, 8, &options, NULL, &error), VECDB_FORKED,
                &error, "process"));
    CHECK(fails(upsert(c, 1, vectors, NULL, &error), VECDB_FORKED, &error, "process"));
    CHECK(fails(vecdb_open(TEXT("child"), NULL, 0, &other, &error), VECDB_FORKED, &error, ""));
    CHECK(fails(vecdb_close(database, &error), VECDB_FORKED, &error, ""));
    vecdb_collection_release(c);
    _exit(failures ? 1 : 0);
  }
  int status = -1;
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void *reader(void *argument) {
  vecdb_collection c = *(vecdb_collection *)argument;
  long wrong = 0;
  for (size_t row = 0; row < 300; row++) {
    vecdb_search_options options = options_of(5, NULL);
    vecdb_rows *rows = NULL;
    vecdb_code code = vecdb_search(c, 1, vectors + row * DIMENSIONS, VECDB_FLOAT32, DIMENSIONS,
                                   &options, &rows, NULL);
    // The main thread closes the database meanwhile.
    if (code != VECDB_CLOSED && (code != VECDB_OK || rows->count != 5)) wrong++;
    vecdb_rows_free(rows);
  }
  return (void *)wrong;
}

static int32_t asked;
static int32_t stop(void *context) {
  asked++;
  return *(int32_t *)context;
}

// Ends the process with open handles, while threads search.
static int end_open(void) {
  vecdb_error *error = NULL;
  vecdb_database database = 0;
  static vecdb_collection c;
  CHECK(succeeds(vecdb_open(TEXT("open"), NULL, 0, &database, &error), &error));
  CHECK(succeeds(vecdb_create_collection(database, TEXT("c"), DIMENSIONS, TEXT("cosine"), NULL, 0, &c,
                                         &error),
                 &error));
  CHECK(succeeds(upsert(c, ROWS, vectors, NULL, &error), &error));
  pthread_t thread;
  CHECK(!pthread_create(&thread, NULL, reader, &c));
  return failures ? 1 : 0;
}

// Usage: abi DIRECTORY [exit]
int main(int given, char **arguments) {
  if (given < 2 || chdir(arguments[1])) return 2;
  make_records();
  if (given > 2) return end_open();
  CHECK(vecdb_abi_version() == VECDB_ABI_VERSION);
  vecdb_error *error = NULL;
  vecdb_database database = 0, second = 0;
  vecdb_collection c = 0;
  CHECK(succeeds(vecdb_open(TEXT("db"), NULL, 0, &database, &error), &error));
  CHECK(fails(vecdb_open(TEXT("db"), NULL, 0, &second, &error), VECDB_LOCKED, &error, "db"));
  CHECK(succeeds(vecdb_create_collection(database, TEXT("c"), DIMENSIONS, TEXT("l2"),
                                         TEXT("{\"m\":12}"), &c, &error),
                 &error));
  records(database, c);
  bad_input(database, c);
  backups(database);
  CHECK(succeeds(vecdb_rebuild(c, TEXT("{\"m\":20,\"graceSeconds\":0}"), NULL, NULL, &error),
                 &error));
  forked(database, c);

  // A hook that asks to stop ends a call that waits; one that does not is only asked.
  int32_t wish = 1;
  vecdb_set_wait_hook(stop, &wish);
  vecdb_code code = vecdb_verify(TEXT("repository"), TEXT("{\"samples\":1000}"), NULL, NULL, &error);
  CHECK(asked > 0 && code == VECDB_CANCELLED);
  vecdb_error_free(error);
  error = NULL;
  vecdb_set_wait_hook(NULL, NULL);

  // Readers on threads, while the database is closed under them.
  pthread_t threads[4];
  for (size_t place = 0; place < 4; place++) {
    CHECK(!pthread_create(&threads[place], NULL, reader, &c));
  }
  usleep(2000);
  CHECK(succeeds(vecdb_close(database, &error), &error));
  for (size_t place = 0; place < 4; place++) {
    void *wrong = NULL;
    CHECK(!pthread_join(threads[place], &wrong) && wrong == NULL);
  }
  CHECK(succeeds(vecdb_close(database, &error), &error));
  CHECK(fails(vecdb_stats(database, 0, NULL, NULL, &error), VECDB_CLOSED, &error, "database"));
  uint64_t count = 0;
  CHECK(fails(vecdb_count(c, NULL, 0, &count, &error), VECDB_CLOSED, &error, ""));
  vecdb_collection_release(c);
  CHECK(fails(vecdb_count(c, NULL, 0, &count, &error), VECDB_CLOSED, &error, "collection"));

  // What was acknowledged is there again.
  CHECK(succeeds(vecdb_open(TEXT("db"), TEXT("{\"createIfMissing\":false}"), &database, &error),
                 &error));
  CHECK(succeeds(vecdb_open_collection(database, TEXT("c"), &c, &error), &error));
  CHECK(succeeds(vecdb_count(c, NULL, 0, &count, &error), &error) && count == ROWS - 101);
  vecdb_collection_release(c);
  CHECK(succeeds(vecdb_close(database, &error), &error));
  printf("%d checks, %d failures\n", checks, failures);
  return failures ? 1 : 0;
}
