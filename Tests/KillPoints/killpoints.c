// Kills the process at a named point, without a word: preloaded into a process, it counts the calls
// of one function of the C library on files whose path contains a text, and sends SIGKILL to the
// process itself at the nth.
//
//   VECDB_KILL_AT=FUNCTION:TEXT:WHEN:N
//
// FUNCTION is pwrite, fdatasync, fsync, ftruncate, unlink or rename; WHEN is before, after, or half
// (pwrite only: half of the bytes are written). For rename, TEXT is looked for in the new name.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static char function[32], text[128], when[16];
static long nth;
static atomic_long calls;

__attribute__((constructor)) static void read_environment(void) {
  const char *value = getenv("VECDB_KILL_AT");
  if (value && sscanf(value, "%31[^:]:%127[^:]:%15[^:]:%ld", function, text, when, &nth) != 4) {
    fprintf(stderr, "killpoints: VECDB_KILL_AT='%s' cannot be read\n", value);
    _exit(2);
  }
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

// Whether this call is the one.
static int is_due(const char *name, const char *path) {
  if (nth == 0 || strcmp(name, function) != 0 || strstr(path, text) == NULL) return 0;
  return atomic_fetch_add(&calls, 1) + 1 == nth;
}

static int is_due_for(const char *name, int file) {
  if (nth == 0 || strcmp(name, function) != 0) return 0;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return is_due(name, path);
}

static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

#define HIT(due, call)                                 \
  if (due && strcmp(when, "after") != 0) die();        \
  __typeof__(call) result = call;                      \
  if (due) die();                                      \
  return result;

static ssize_t write_part(ssize_t (*real)(int, const void *, size_t, off_t), int due, int file,
                          const void *bytes, size_t count, off_t offset) {
  if (due && strcmp(when, "half") == 0) {
    real(file, bytes, count / 2, offset);
    die();
  }
  HIT(due, real(file, bytes, count, offset))
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
  static ssize_t (*real)(int, const void *, size_t, off_t);
  if (!real) real = next("pwrite");
  return write_part(real, is_due_for("pwrite", file), file, bytes, count, offset);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off_t offset) {
  static ssize_t (*real)(int, const void *, size_t, off_t);
  if (!real) real = next("pwrite64");
  return write_part(real, is_due_for("pwrite", file), file, bytes, count, offset);
}

int fdatasync(int file) {
  static int (*real)(int);
  if (!real) real = next("fdatasync");
  int due = is_due_for("fdatasync", file);
  HIT(due, real(file))
}

int fsync(int file) {
  static int (*real)(int);
  if (!real) real = next("fsync");
  int due = is_due_for("fsync", file);
  HIT(due, real(file))
}

int ftruncate(int file, off_t size) {
  static int (*real)(int, off_t);
  if (!real) real = next("ftruncate");
  int due = is_due_for("ftruncate", file);
  HIT(due, real(file, size))
}

int ftruncate64(int file, off_t size) {
  static int (*real)(int, off_t);
  if (!real) real = next("ftruncate64");
  int due = is_due_for("ftruncate", file);
  HIT(due, real(file, size))
}

int unlink(const char *path) {
  static int (*real)(const char *);
  if (!real) real = next("unlink");
  int due = is_due("unlink", path);
  HIT(due, real(path))
}

int rename(const char *from, const char *to) {
  static int (*real)(const char *, const char *);
  if (!real) real = next("rename");
  int due = is_due("rename", to);
  HIT(due, real(from, to))
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
  static int (*real)(int, const char *, int, const char *, unsigned);
  if (!real) real = next("renameat2");
  int due = is_due("rename", to);
  HIT(due, real(a, from, b, to, flags))
}
