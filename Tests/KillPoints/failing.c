// Preloaded into a process, fails what it is told to fail: the file that VECDB_FAILING names has a
// word, `sync` or `space`, and a part of a path; syncs of files with that part in their path then
// fail with EIO, or reservations of space with ENOSPC. Without the file nothing fails.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(const char *word, int file) {
  const char *order = getenv("VECDB_FAILING");
  FILE *stream = order ? fopen(order, "re") : NULL;
  if (!stream) return 0;
  char kind[16] = "", part[256] = "", name[64], path[4096] = "";
  int found = fscanf(stream, "%15s %255s", kind, part);
  fclose(stream);
  snprintf(name, sizeof name, "/proc/self/fd/%d", file);
  if (readlink(name, path, sizeof path - 1) < 0) return 0;
  return found == 2 && !strcmp(kind, word) && strstr(path, part) != NULL;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int file) {
  if (fails("sync", file)) return errno = EIO, -1;
  return REAL(fsync)(file);
}

int fdatasync(int file) {
  if (fails("sync", file)) return errno = EIO, -1;
  return REAL(fdatasync)(file);
}

int fallocate(int file, int mode, off_t from, off_t count) {
  if (fails("space", file)) return errno = ENOSPC, -1;
  return REAL(fallocate)(file, mode, from, count);
}

int fallocate64(int file, int mode, off64_t from, off64_t count) {
  if (fails("space", file)) return errno = ENOSPC, -1;
  return REAL(fallocate64)(file, mode, from, count);
}

int posix_fallocate(int file, off_t from, off_t count) {
  return fails("space", file) ? ENOSPC : REAL(posix_fallocate)(file, from, count);
}

int posix_fallocate64(int file, off64_t from, off64_t count) {
  return fails("space", file) ? ENOSPC : REAL(posix_fallocate64)(file, from, count);
}
