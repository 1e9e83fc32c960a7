// The searches that are more than the nearest records; part of abi.c.
#include "abi.h"

#include <math.h>

void other_searches(vecdb_collection c) {
  vecdb_error *error = NULL;
  vecdb_rows *rows = NULL;
  vecdb_search_options options = options_of(4, NULL);
  const vecdb_code invalid = VECDB_INVALID_ARGUMENT;

  CHECK(succeeds(vecdb_search_diverse(c, vectors, VECDB_FLOAT32, DIMENSIONS, &options, 0.5, 0, &rows,
                                      &error),
                 &error));
  CHECK(rows && rows->count == 4 && rows->queries == 1 && rows->distances[0] == 0 && !rows->groups);
  vecdb_rows_free(rows);
  rows = NULL;
  CHECK(fails(vecdb_search_diverse(c, vectors, VECDB_FLOAT32, DIMENSIONS, &options, NAN, 0, &rows,
                                   &error),
              invalid, &error, ""));
  CHECK(fails(vecdb_search_diverse(c, NULL, VECDB_FLOAT32, DIMENSIONS, &options, 0.5, 0, &rows,
                                   &error),
              invalid, &error, "query"));

  options.k = 0;
  CHECK(succeeds(vecdb_search_within(c, vectors, VECDB_FLOAT32, DIMENSIONS, &options, 0.3f, &rows,
                                     &error),
                 &error));
  CHECK(rows && rows->count > 0 && rows->distances[rows->count - 1] <= 0.3f);
  vecdb_rows_free(rows);
  rows = NULL;
  CHECK(fails(vecdb_search_within(c, vectors, VECDB_FLOAT32, DIMENSIONS, &options, -1, &rows, &error),
              invalid, &error, ""));

  // Each record is a group of its own here.
  options = options_of(3, "n >= 10");
  CHECK(succeeds(vecdb_search_grouped(c, vectors + 10 * DIMENSIONS, VECDB_FLOAT32, DIMENSIONS, &options,
                                      TEXT("n"), 2, &rows, &error),
                 &error));
  CHECK(rows && rows->queries == 3 && rows->count == 3 && rows->query_offsets[3] == 3 &&
        rows->groups_length == strlen(rows->groups) && !strncmp(rows->groups, "[10,", 4));
  vecdb_rows_free(rows);
  rows = NULL;
  CHECK(fails(vecdb_search_grouped(c, vectors, VECDB_FLOAT32, DIMENSIONS, &options, NULL, 0, 2, &rows,
                                   &error),
              invalid, &error, "field"));
  CHECK(fails(vecdb_search_grouped(c, vectors, VECDB_FLOAT32, DIMENSIONS, &options, TEXT("n"), 0,
                                   &rows, &error),
              invalid, &error, ""));

  const uint64_t one[] = {0, 2};
  options = options_of(3, NULL);
  CHECK(succeeds(vecdb_search_near(c, 1, TEXT("k5"), one, 1, TEXT("k6"), one, &options, &rows, &error),
                 &error));
  CHECK(rows && rows->count == 3 && rows->queries == 1);
  vecdb_rows_free(rows);
  rows = NULL;
  CHECK(succeeds(vecdb_search_near(c, 1, TEXT("k5"), one, 0, NULL, 0, NULL, &options, &rows, &error),
                 &error));
  CHECK(rows && rows->count == 3);
  vecdb_rows_free(rows);
  rows = NULL;
  CHECK(fails(vecdb_search_near(c, 1, TEXT("no"), one, 0, NULL, 0, NULL, &options, &rows, &error),
              VECDB_NOT_FOUND, &error, "no"));
  CHECK(fails(vecdb_search_near(c, 0, NULL, 0, NULL, 0, NULL, 0, NULL, &options, &rows, &error), invalid,
              &error, ""));
}

