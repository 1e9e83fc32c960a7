// What the parts of the test in C share.
#ifndef ABI_H
#define ABI_H

#include "vecdb.h"

#include <stdio.h>
#include <string.h>

extern int failures, checks;

#define CHECK(condition) check((condition) != 0, #condition, __LINE__)

static inline void check(int holds, const char *text, int line) {
  checks++;
  if (holds) return;
  failures++;
  fprintf(stderr, "abi.c:%d: %s does not hold\n", line, text);
}

// Whether the call gave this code, with an error that says so and names the place.
static inline int fails(vecdb_code code, vecdb_code wanted, vecdb_error **error, const char *place) {
  int as_wanted = code == wanted && *error && (*error)->code == wanted && (*error)->message[0] &&
                  (*error)->name[0] && strstr((*error)->location, place);
  if (!as_wanted) {
    fprintf(stderr, "got %d (%s, at %s), wanted %d\n", code, *error ? (*error)->message : "no error",
            *error ? (*error)->location : "", wanted);
  }
  vecdb_error_free(*error);
  *error = NULL;
  return as_wanted;
}

static inline int succeeds(vecdb_code code, vecdb_error **error) {
  if (code != VECDB_OK) fprintf(stderr, "got %d: %s\n", code, *error ? (*error)->message : "");
  vecdb_error_free(*error);
  *error = NULL;
  return code == VECDB_OK;
}

#define TEXT(text) (text), strlen(text)
enum { ROWS = 500, DIMENSIONS = 8 };

// A vector for each of the records "k0", "k1" and so on, whose field n is 0, 1 and so on.
extern float vectors[ROWS * DIMENSIONS];

static inline vecdb_search_options options_of(size_t k, const char *filter) {
  vecdb_search_options options = {0};
  options.size = sizeof options;
  options.k = k;
  options.filter = filter;
  options.filter_length = filter ? strlen(filter) : 0;
  return options;
}

// Writes with conditions, changes of metadata and counts of values. The collection has all records.
void other_writes(vecdb_collection c);

// The searches that are more than the nearest records. The collection has all records.
void other_searches(vecdb_collection c);

#endif
